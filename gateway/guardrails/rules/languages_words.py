"""What languages are known by, where their script does not say it: their small words, and letters that few others have.

Each line of `WORDS` is one language's (ISO 639-1) most frequent words without a meaning of their own. Bokmål and Nynorsk are `no`;
Bosnian and Serbian in Latin letters are `hr`; Malay is `id`. Written for this gateway.
"""

LATIN = {
    "en": "the of and to in is that it was for on are with as be this have from or had by not but what were when can there an your "
    "which their will if do each how them then she he they you we his her would could should has about who been its than into our "
    "a i me my at no so please want know these those some make because between through every today need come may due word hello",
    "de": "der die das und ist in den von zu mit sich des auf für nicht ein eine einem einen einer als auch es an werden aus er hat dass "
    "sie nach wird bei sind noch wie über so zum war haben nur oder aber vor zur bis mehr durch man kann wir ich ihr wenn was mir uns",
    "fr": "le la les des et est un une du en que qui dans pour pas il elle au sur ce plus par ne se avec sont nous vous je son sa "
    "ses mais ou cette comme aux être été fait leur tout on lui si ces ont bien peut même deux où sans était ils mon votre "
    "notre quand ma mes ton ta moi toi suis es faire trois chaque fois depuis",
    "es": "el la los las de que y en un una es por con no se del para su lo como más pero sus le ya o este sí porque esta son "
    "entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante uno ni contra ese eso había fue ser "
    "tiene está puede mi mis tu tus yo te él ella nosotros están soy eres hace hacer tres dos cada vez",
    "pt": "o a os as de que e do da em um uma para com não por mais dos das como mas foi ao ele se na no nos nas à seu sua ou ser "
    "quando muito há já está eu também só pelo pela até isso ela entre era depois sem mesmo aos ter seus quem você são tem "
    "minha às meu teu tua me te nós estão sou és fez fazer três dois cada vez onde",
    "it": "il lo la gli le di che e è un una in per non con si del della dei delle sono da al alla come più ma anche nel nella ha "
    "questo questa ci o se mi cosa quando io ho dal dalla essere tutto tutti sul sulla loro suo sua era perché molto solo "
    "stato può noi mio mia tuo tua me te lui lei sto sei fa fare tre due ogni volta dove",
    "nl": "de het een en van ik te dat die in is niet op zijn met voor er maar om aan ook als dan ze bij nog naar uit kan wordt heeft "
    "hebben deze door over werd geen wij we je jij hij zij wel meer moet worden tot onze ons veel waar wat hoe dit tegen worden al",
    "af": "die en is nie van het ek in sy wat dit vir om met was hy jou ons jy te op daar kan sal hulle haar maar ook by baie moet "
    "nog een as word deur so my gaan hoe aan toe weet hier hom wees waar sodat omdat tussen sonder asseblief",
    "sv": "och att det som en på är av för med den till inte om ett har de jag var kan så men vi sig från han hon eller när nu vara ska "
    "man mycket hade efter bli där alla här måste skulle också bara mot vad mig dig oss är några denna detta än under utan",
    "da": "og at det som en på er af for med den til ikke om et har de jeg var kan så men vi sig fra han hun eller når nu være skal "
    "man meget havde efter blive der alle her må skulle også kun mod hvad mig dig os nogle denne dette end ved uden blev bliver",
    "no": "og at det som en på er av for med den til ikke om et har de jeg var kan så men vi seg fra han hun eller når nå være skal "
    "man mye hadde etter bli der alle her må skulle også bare mot hva meg deg oss noen denne dette enn ved uten ble blir ikkje eg",
    "is": "og að í sem er á það við til en hann var um ekki með af hún fyrir þetta ég þú eru hafa hefur því þessi þegar svo sér frá "
    "eða þeir mér þér okkur verið vera hér þar mjög allt eins þess hvað hvernig nú einn ein eitt yfir undir síðan",
    "fi": "ja on ei se että oli hän mutta ovat kun tai niin joka myös kuin mitä sen minä sinä me te he tämä jos olla ole hänen jotka "
    "vain sitten siitä voi nyt jo sekä mukaan kanssa hyvin tämän olen olet ollut miten miksi missä koska vielä kaikki joita",
    "et": "ja on ei see et oli ta aga kui või nii kes ka mis mida selle mina sina meie teie nad need oma ole olla tema seda siis "
    "ainult veel nagu välja üle peale kõik väga kuid pärast enne siin seal saab võib oleks kas miks kuidas juba tuleb",
    "pl": "i w nie na się z do to że jest o jak ale po co tak za od by już dla są tylko przez jego jej ich był była było przy czy może "
    "gdy te ten ta tym tego które który która oraz bardzo jeszcze lub można nad pod bez mnie mi ci nas was sobie kiedy gdzie",
    "cs": "a v je se na že to s z do o i k ale jako za by si po jsem jsou tak od jeho ve nebo už jen být pro ze co která který "
    "které kteří byl byla bylo není když aby tím této pouze také mezi bez proti jsme jste můžete může více při velmi kde "
    "proč můj mě mi mou moje svůj náš váš tři kolik mít mám jak tady zde jaký",
    "sk": "a v je sa na že to s z do o i k ale ako za by si po som sú tak od jeho vo alebo už len byť pre zo čo ktorá ktorý ktoré "
    "ktorí bol bola bolo nie keď aby tým tejto iba tiež medzi bez proti sme ste môžete môže viac pri veľmi kde prečo môj "
    "mňa mi moja moje môjmu svoj náš váš koľko mať mám tu aký tento",
    "sl": "in je v se na da so za z s ki ne pa po bi tudi kot ali od do iz to pri še ni kako samo lahko bil bila bilo kaj vse če "
    "ter njegov med že zelo nas vas sem si smo ste tako zaradi brez kjer potem ker tega tem ta te jih ga mu moj moja moje "
    "mojemu meni svoj naš vaš zakaj koliko imeti imam tukaj kakšen naj",
    "hr": "i je u se na da su za od s ne o po što kao iz to koji koja koje nije ali bi do sam ili samo kako ako već biti bio bila "
    "bilo ima može nakon prema pri te ga mu njegov svi sve smo ste jer kada gdje vrlo također još bez između ovaj ova ovo "
    "moj moja moje mom meni svoj naš vaš zašto koliko imati imam ovdje kakav taj neka",
    "hu": "a az és hogy nem is egy ez van de meg csak mint már vagy volt ha még azt el lesz mert ki ami aki kell minden én te ő mi ti "
    "ezt amely után pedig lehet nagyon így úgy ezek azok itt ott hogyan miért mikor között szerint alatt nélkül sem van vannak",
    "ro": "de și în la a cu pe nu că din este un o care pentru mai au sau ce se fi sunt ca dar al ale lui ei lor prin după fost cum "
    "când acest această acesta ei noi voi eu tu foarte între fără despre doar poate trebuie aceste unde toate sa său și îl",
    "tr": "ve bir bu da de için ile ne var ben o çok gibi daha olarak kadar ama değil mi en her şey sonra olan ya yok ki ise bana sen "
    "biz siz onlar nasıl neden veya göre sadece önce diye içinde tarafından üzerinde olduğu oldu ediyor edilir hiç bütün şu",
    "lv": "un ir uz ka no ar par to kas bet tas tā vai kā pie tikai pēc arī jau bija lai es tu mēs jūs viņš viņa viņi nav būt ja tiek "
    "šis šī tie tās kad kur kāpēc ļoti vēl līdz bez starp pret viss visi savu savas tika ļauj var esmu",
    "lt": "ir yra į kad su iš tai kaip bet už ar dėl jau tik po jis ji jie buvo nuo prie mes jūs aš tu nėra būti jei taip pat šis ši "
    "tas ta jo jos jų kai kur kodėl labai dar iki be tarp prieš visi visas savo apie kuris kuri kurie gali",
    "ca": "el la els les de que i en un una és per amb no es del al dels com més però seu seva aquest aquesta són també ha o si "
    "quan molt sense sobre fins hi on qui des tot ens durant ni ser pot està tenir perquè jo tu ells nosaltres ja va van "
    "aquests meu meva meves teu em et estan soc ets fa fer tres dos cada vegada",
    "eu": "eta da ez du bat hau hori izan dira zen egin baina ere bere edo dela beste den dute baino gero arte nola zer zein non noiz "
    "oso hala guztiak nire zure gure ditu zuen ziren behar dago daude bezala gabe artean horrela batzuk",
    "sq": "të e në dhe i për me një është që nga se si do nuk ka janë por ai ajo ata unë ti ne ju më kjo ky kur ku pse shumë edhe "
    "duke ishte kishte pas mund duhet vetëm çdo gjithë pa mes deri këtë tij saj tyre ose",
    "vi": "và của là có không được cho trong một các với những người này đã khi để từ đến như về ra cũng tôi bạn chúng ta anh chị nó "
    "họ rằng thì mà nhưng vào ở đó sẽ phải nhiều rất còn lại nếu vì sao thế nào gì ai hơn trên dưới sau trước",
    "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena bisa ada mereka kita kami oleh atau "
    "sudah kamu anda dia seperti hanya lebih telah harus dapat adalah sebagai bahwa apa bagaimana saat lagi banyak belum jika tetapi",
    "tl": "ang ng sa na at mga ay ko mo ako ka siya hindi ito ni para kung may namin natin nila ninyo lang din rin pa po niya kanyang "
    "mula dahil kapag upang bilang isang isa wala kami tayo sila kayo ano paano bakit saan gaano dito doon",
    "sw": "na ya wa kwa ni katika la za cha hii huo yake kama hiyo kuwa si lakini pia au watu sana wote bila hapa huko nini vipi "
    "kwamba yangu yako yetu wetu wao mimi wewe yeye sisi nyinyi ambayo ambao kila baada kabla hadi alikuwa ilikuwa ana "
    "wangu mwenye kuhusu tatu siku moja mbili lini sijui kutoka kwenda je huyu hiki",
}

CYRILLIC = {
    "ru": "и в не на что я он с как это по но из у за от то все так же для бы мы вы она они его её их был была было быть есть "
    "если или только уже еще ещё при когда где чтобы очень может который которые также нет ни до во со этот эта эти меня "
    "вас нас о мой моя мне моему свой наш ваш вам нам тебе почему сколько него ней",
    "uk": "і в не на що я він з як це по але із у за від то все так для би ми ви вона вони його її їх був була було бути є якщо "
    "або тільки вже ще при коли де щоб дуже може який які також немає ні до та цей ця ці мене вас нас й про мій моя мені "
    "свій наш ваш вам нам чому скільки неї нього треба",
    "be": "і ў не на што я ён з як гэта па але у за ад то усё так для бы мы вы яна яны яго яе іх быў была было быць ёсць калі або "
    "толькі ўжо яшчэ пры дзе каб вельмі можа які якія таксама няма ні да гэты гэтая гэтыя мяне вас нас пра мой мая мне свой "
    "наш ваш вам нам чаму трэба майму",
    "bg": "и в не на че аз той с как това по но от за са е се да ще ние вие тя те го му им беше били бъде ако или само вече още "
    "при когато къде много може който която които също няма нито до във със този тази тези ме ви ни което като моя мой "
    "моето мога твоя наш ваш защо колко към през един една има",
    "mk": "и во не на дека јас тој со како ова по но од за се е да ќе ние вие таа тие го му им беше биле биде ако или само веќе "
    "уште при кога каде многу може кој која кои исто нема ниту до овој оваа овие ме ве што сум си мојот моја мојата твојот "
    "наш ваш зошто колку кон низ еден една има можам",
    "sr": "и у не на да ја он са како ово по али од за се је су ће ми ви она они га му им био била било бити ако или само већ још "
    "при када где врло може који која које такође нема ни до овај ова ови ме вас нас што сам си из мој моја мом твој наш "
    "ваш зашто колико према кроз један једна има треба",
    "kk": "және бұл мен үшін емес бір да де бар болып деп ол олар біз сіз сен осы сол қалай қайда неге өте немесе бірақ кейін дейін "
    "туралы арқылы болған болады жоқ барлық тек егер оның менің сіздің біздің керек сияқты үлкен",
}

ARABIC = {
    "ar": "في من على إلى أن هذا هذه التي الذي لا ما مع عن كان كانت هو هي أو لم كل بعد قبل بين حتى إذا كما أنا أنت نحن هم ذلك تلك "
    "يكون تكون قد ثم لكن عند منذ أي كيف لماذا أين متى وقد ولا وهو وهي هناك غير فقط",
    "fa": "و در به از که این را با است برای آن یک خود تا کرد بر هم نیز شده می‌شود می شد باید شود اما یا هر ما من شما او آنها "
    "بود بودند دارد دارند نیست هستند چه چرا چگونه کجا وقتی اگر هیچ بسیار پس همه کنید است",
    "ur": "کے کی میں ہے اور سے کا کو اس نے پر یہ کہ ہیں بھی ایک نہیں کیا تھا تھی تھے وہ جو ہو کر ان تو اپنے گیا گئی ہوئے لئے لیے "
    "ساتھ بعد تک میرے آپ ہم مجھے کیوں کہاں کیسے اگر لیکن بہت کوئی کچھ ہوتا",
}

DEVANAGARI = {
    "hi": "के का में की है और से को पर यह कि हैं एक नहीं भी इस ने था थी थे वह जो हो कर तो अपने गया गई लिए साथ बाद तक मेरे आप हम "
    "मुझे क्यों कहाँ कैसे अगर लेकिन बहुत कोई कुछ होता होती या उस उन वे जब रहा रही",
    "mr": "आणि आहे या च्या हे ते की नाही तो ती मध्ये होते होता होती आहेत पण एक मी तू आम्ही तुम्ही त्या त्यांनी त्यांच्या करून असे "
    "म्हणून काही कसे का कुठे जर तर खूप सर्व किंवा झाली झाले झाला साठी वर केले माझे तुमचे आपल्या",
    "ne": "छ र को मा का यो हो पनि गरेको ले लाई छन् थियो भएको एक गर्न तर वा भने हुन्छ हुन् म तिमी तपाईं हामी उनी उनीहरू त्यो "
    "किन कहाँ कसरी यदि धेरै सबै कुनै केही साथ पछि सम्म मेरो हाम्रो गरे गर्छ गर्छन् थिए छैन",
}

# Letter → languages that write it, in texts of one script.
LETTERS = {
    "ß": "de", "ä": "de sv fi et sk", "ö": "de sv fi et hu tr is", "ü": "de et hu tr", "å": "sv da no", "æ": "da no is", "ø": "da no",
    "þ": "is", "ð": "is", "ñ": "es eu tl", "ã": "pt vi", "õ": "pt et vi", "ç": "fr pt tr ca sq", "ê": "fr pt vi", "è": "fr it ca vi",
    "é": "fr es pt hu cs sk is ca it", "œ": "fr", "ë": "sq nl fr", "ù": "it fr vi", "ò": "it ca vi", "ï": "ca nl fr",
    "ą": "pl lt", "ę": "pl lt", "ł": "pl", "ń": "pl", "ś": "pl", "ź": "pl", "ż": "pl", "ć": "pl hr",
    "ě": "cs", "ř": "cs", "ů": "cs", "ľ": "sk", "ĺ": "sk", "ŕ": "sk", "ô": "sk fr pt vi", "ť": "cs sk", "ď": "cs sk", "ň": "cs sk",
    "ý": "cs sk is vi", "č": "cs sk sl hr lv lt", "š": "cs sk sl hr lv lt et", "ž": "cs sk sl hr lv lt et", "đ": "hr vi",
    "ő": "hu", "ű": "hu", "ă": "ro vi", "ș": "ro", "ț": "ro", "ţ": "ro", "ş": "tr ro", "ğ": "tr", "ı": "tr", "â": "ro fr pt vi tr",
    "î": "ro fr", "ā": "lv", "ē": "lv", "ī": "lv", "ū": "lv lt", "ģ": "lv", "ķ": "lv", "ļ": "lv", "ņ": "lv", "ė": "lt", "į": "lt",
    "ų": "lt", "ơ": "vi", "ư": "vi", "ạ": "vi", "ả": "vi", "ế": "vi", "ề": "vi", "ộ": "vi", "ợ": "vi", "ị": "vi", "ấ": "vi", "ầ": "vi",
    "і": "uk be kk", "ї": "uk", "є": "uk", "ґ": "uk", "ў": "be", "ы": "ru be kk", "э": "ru be kk", "ё": "ru be", "ъ": "bg ru",
    "щ": "ru uk bg", "ј": "sr mk", "љ": "sr mk", "њ": "sr mk", "ћ": "sr", "ђ": "sr", "џ": "sr mk", "ѓ": "mk", "ќ": "mk", "ѕ": "mk",
    "қ": "kk", "ғ": "kk", "ң": "kk", "ү": "kk", "ұ": "kk", "ә": "kk", "ө": "kk",
    "پ": "fa ur", "چ": "fa ur", "ژ": "fa", "گ": "fa ur", "ٹ": "ur", "ڈ": "ur", "ڑ": "ur", "ں": "ur", "ے": "ur", "ہ": "ur", "ة": "ar",
    "ى": "ar", "ی": "fa ur", "ک": "fa ur", "ك": "ar", "ي": "ar", "أ": "ar", "إ": "ar", "ळ": "mr",
}  # fmt: skip
