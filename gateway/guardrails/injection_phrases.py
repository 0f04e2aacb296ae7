"""The classic phrase, "ignore all previous instructions", and its sister, "reveal your instructions", in other languages.

One RE2 pattern per language, over plain lower-case text with single spaces.
"""

_GAP = r"(?:\S+ ){0,5}"


def _phrase(drop: str, orders: str, show: str = "", secret: str = "") -> str:
    dropped = rf"(?:{drop}) {_GAP}(?:{orders})"
    return rf"{dropped}|(?:{show}) {_GAP}(?:{secret})" if show else dropped


def _unspaced(*parts: str) -> str:
    return "|".join(parts)


FOREIGN: tuple[str, ...] = (
    _phrase(  # German
        r"\b(?:ignorier\w*|vergiss|vergessen sie|vergesst|missachte\w*|überschreib\w*|verwirf)",
        r"anweisung\w*|instruktion\w*|vorgaben|befehle?|anordnung\w*|richtlinien|eingabeaufforderung\w*|systemprompt|(?:was|alles) (?:\S+ ){0,3}(?:davor|vorher|oben|bisher)",
        r"\b(?:zeig\w*|verrate\w*|gib|nenne|wiederhole\w*|drucke)",
        r"system-?prompt\w*|systemnachricht|(?:deine|ihre) (?:\S+ ){0,2}(?:anweisungen|instruktionen|vorgaben)",
    ),
    _phrase(  # French
        r"\b(?:ignore[zr]?|oublie[zr]?|oubliez|néglige[zr]?|ne (?:tiens|tenez) (?:pas|plus) compte|fais abstraction|faites abstraction)",
        r"instructions|consignes|directives|ordres|règles|(?:ce qui|tout) (?:\S+ ){0,3}(?:précède|avant|dessus)",
        r"\b(?:montre|montrez|révèle|révélez|affiche|affichez|donne|donnez|répète|répétez)",
        r"(?:invite|prompt|message) (?:du )?système|prompt système|(?:tes|vos) (?:\S+ )?(?:instructions|consignes)",
    ),
    _phrase(  # Spanish
        r"\b(?:ignora|ignore|ignorad|ignorar|olvida|olvide|olvídate|omite|descarta|no (?:sigas|tengas en cuenta)|haz caso omiso)",
        r"instrucciones|indicaciones|órdenes|reglas|directrices|(?:lo|todo) (?:\S+ ){0,2}(?:anterior|arriba|antes)",
        r"\b(?:muestra|muéstrame|revela|revélame|dime|dame|repite|imprime)",
        r"prompt (?:del|de) sistema|(?:tus|sus) (?:\S+ )?instrucciones|instrucciones (?:del sistema|ocultas|iniciales)",
    ),
    _phrase(  # Portuguese
        r"\b(?:ignor[ea]m?|ignorar|esqueç[ao]|esquece|desconsidere|descarte|não siga)",
        r"instruções|ordens|regras|diretrizes|comandos|(?:o|tudo) (?:\S+ ){0,2}(?:acima|anterior|antes)",
        r"\b(?:mostre|revele|diga|repita|exiba|imprima)",
        r"prompt (?:do|de) sistema|(?:suas|tuas) (?:\S+ )?instruções|instruções (?:do sistema|ocultas|iniciais)",
    ),
    _phrase(  # Italian
        r"\b(?:ignora|ignorate|ignori|dimentica|dimenticate|trascura|non (?:seguire|considerare)|lascia perdere)",
        r"istruzioni|indicazioni|ordini|regole|direttive|(?:tutto|ciò|quello) (?:\S+ ){0,3}(?:sopra|precede|prima|precedente)",
        r"\b(?:mostra|mostrami|rivela|rivelami|dimmi|ripeti|stampa)",
        r"prompt di sistema|(?:le tue|le vostre) (?:\S+ )?istruzioni|istruzioni (?:di sistema|nascoste|iniziali)",
    ),
    _phrase(  # Dutch
        r"\b(?:negeer|vergeet|sla over)", r"instructies|aanwijzingen|opdrachten|regels|richtlijnen|(?:alles|wat) (?:\S+ ){0,3}(?:hiervoor|hierboven)",
        r"\b(?:toon|onthul|geef|laat|herhaal)", r"systeemprompt|systeembericht|(?:je|jouw|uw) (?:\S+ )?instructies",
    ),
    _phrase(  # Polish, Czech
        r"(?:zignoruj|ignoruj|pomiń|zapomnij o|ignorujte|zapomeň na|zapomeňte na)", r"instrukcj\w*|polece\w*|wskazów\w*|poky\w*|instrukc\w*|pravid\w*|zasad\w*",
        r"(?:pokaż|ujawnij|wyświetl|ukaž|prozraď)", r"prompt\w* systemow\w*|systemow\w* prompt\w*|systémov\w* (?:prompt|pokyn)\w*|(?:swoje|své) (?:instrukcje|pokyny)",
    ),
    _phrase(  # Swedish, Danish, Norwegian
        r"\b(?:ignorera|ignorer|glöm|glem|bortse från|se bort fra)", r"instruktion\w*|instruks\w*|anvisning\w*|regler\w*|(?:allt|alt) (?:\S+ ){0,2}(?:ovan|ovenfor|tidigare|tidligere)",
    ),
    _phrase(  # Turkish: the object stands first
        r"(?:önceki|yukarıdaki|verilen|tüm|bütün)", r"(?:talimat|komut|yönerge|kural)\w* (?:\S+ ){0,2}(?:yok say|unut|görmezden gel|dikkate alma|göz ardı)\w*"
    ),
    _phrase(  # Russian, Ukrainian
        r"(?:игнорируй\w*|проигнорируй\w*|забудь\w*|не обращай внимания|отбрось|ігноруй\w*|забудь\w*)",
        r"(?:инструкци|указани|команд|правил|распоряжени|інструкці|вказівк|сказан|написан)\w*|(?:все|всё|усе) (?:\S+ ){0,3}(?:выше|ранее|раньше|вище)",
        r"(?:покажи\w*|раскрой\w*|выведи\w*|повтори\w*|назови\w*)",
        r"системн\w* (?:промпт|запрос|сообщени|инструкци|подсказк)\w*|(?:свои|твои|ваши) (?:\S+ )?инструкции",
    ),
    _phrase(  # Indonesian, Malay, Filipino
        r"\b(?:abaikan|lupakan|huwag pansinin|balewalain|kalimutan)", r"instruksi|perintah|arahan|aturan|tagubilin|utos|panuto|(?:yang|ang) (?:nasa )?(?:di )?(?:atas|itaas)"
    ),
    _phrase(r"(?:bỏ qua|phớt lờ|quên|hãy quên)", r"hướng dẫn|chỉ dẫn|chỉ thị|lệnh|quy tắc|phía trên|ở trên"),  # Vietnamese
    _phrase(  # Arabic, Persian
        r"(?:تجاهل|تجاهلي|تجاهلوا|انس|انسى|انسَ|نادیده بگیر)", r"(?:ال)?(?:تعليمات|أوامر|توجيهات|إرشادات|قواعد|اوامر|دستورات|سابق\w*)|(?:ما سبق|كل ما|ما ورد|أعلاه)"
    ),
    _phrase(r"(?:התעלם|התעלמי|שכח|תתעלם)", r"ההוראות|הוראות|ההנחיות|הפקודות|האמור"),  # Hebrew
    _phrase(  # Hindi, Bengali: the object stands first
        r"(?:पिछले|पूर्व|ऊपर|सभी|पहले|আগের|উপরের|পূর্ববর্তী|সব)", r"(?:निर्देश|आदेश|अनुदेश|নির্দেশ|আদেশ)\S* (?:\S+ ){0,3}(?:अनदेखा|नजरअंदाज|नज़रअंदाज़|भूल|उपेक्षा|উপেক্ষা|ভুলে|অগ্রাহ্য)|(?:अनदेखा|नजरअंदाज) कर"
    ),
    _phrase(r"(?:αγνόησε|αγνοήστε|ξέχασε|ξεχάστε)", r"οδηγίες|εντολές|κανόνες|παραπάνω"),  # Greek
    _unspaced(  # Chinese
        r"(?:忽略|无视|忘记|忘掉|忽视|不要理会|不理会|無視|忘記|忽視)[^。！？\n]{0,14}(?:指令|指示|提示|说明|命令|规则|内容|要求|規則|說明|设定|限制)",
        r"(?:显示|告诉我|输出|透露|重复|打印|泄露|顯示)[^。！？\n]{0,8}(?:系统提示|系统指令|系统消息|系統提示|初始指令|隐藏指令|你的提示词|你的指令)",
    ),
    _unspaced(  # Japanese
        r"(?:指示|命令|指令|プロンプト|ルール|規則|制約|内容|上記|以前)[^。！？\n]{0,14}(?:無視し|忘れ|無効に|破棄)",
        r"(?:システムプロンプト|システムメッセージ|初期指示|あなたの指示)[^。！？\n]{0,10}(?:表示|教え|出力|見せ|開示)",
    ),
    _unspaced(  # Korean
        r"(?:지시|명령|지침|프롬프트|규칙|내용|설정)[^.!?\n]{0,14}(?:무시|잊어|잊고|따르지 마)",
        r"(?:시스템 ?프롬프트|시스템 ?메시지|초기 ?지시|너의 ?지시)[^.!?\n]{0,10}(?:보여|알려|출력|공개|말해)",
    ),
    r"(?:เพิกเฉย|ละเว้น|ลืม|ไม่ต้องสนใจ|ละเลย)[^\n]{0,24}(?:คำสั่ง|คำแนะนำ|กฎ|ข้อความข้างต้น|ด้านบน)",  # Thai
)
