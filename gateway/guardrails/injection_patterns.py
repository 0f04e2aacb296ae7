"""Phrases of attacks on language models, each worth some log-odds: what the small model cannot learn from a thousand examples.

Patterns are RE2's, looked for all at once in text that is plain (`normalise.plain`), lower case and has single spaces. A phrase
that also stands in honest questions ("how do I ignore whitespace", "what is a system prompt") is worth little or nothing alone;
what counts is whose rules are to be ignored, and who is told so. Several groups of one name count once.

Source: the kinds of attack as OWASP's LLM01:2025 lists them, https://genai.owasp.org/llmrisk/llm01-prompt-injection/ (read 2026-11-22).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

from gateway.guardrails.injection_phrases import FOREIGN
from gateway.guardrails.normalise_signs import one_of

JAILBREAK, PROMPT_INJECTION, INDIRECT = "jailbreak", "prompt_injection", "indirect_injection"


class Rule(NamedTuple):
    """A group of phrases.

    Attributes:
        name: As the reason says it.
        category: What a text is that holds one.
        worth: Log-odds that it adds.
        pattern: Of RE2.
        embedded: Whether it counts in data only.
    """

    name: str
    category: str
    worth: float
    pattern: str
    embedded: bool = False


_DROP = r"(?:ignor\w*|disregard\w*|forget(?: about)?|scratch|override|overwrite|bypass|discard|drop|dismiss|neglect|skip|set aside|do not follow|don't follow|stop following|never ?mind|pay no attention to|(?:do not|don't) pay attention to|erase|delete|cancel|abandon|nullify)"
_EARLIER = r"(?:previous|prevous|previos|prior|above|earlier|preceding|former|foregoing|initial|original|existing|current|past|before|so far|already)"
_ORDERS = r"(?:instruction|prompt|direction|directive|guideline|command|rule|order|constraint|restriction|programming|training|polic(?:y|ie)|safeguard|protocol|assignment|instuction|promt)s?"
_WORDS = r"(?:messages?|context|task|text|conversation|input|chat|request|question|document|data)s?"
_YOURS = r"(?:your|you were|you've been|you have been|given to you|system|developer|safety|content|openai'?s?|anthropic'?s?|google'?s?|microsoft'?s?)"

RULES: tuple[Rule, ...] = (
    Rule("ignore-instructions", PROMPT_INJECTION, 5.0, rf"\b{_DROP} (?:all |any |every |each |everything |both |of |the |these |those |my |your |our |and |other |whatever |what |about |entirely |completely )*(?:\S+ ){{0,2}}{_EARLIER} (?:\S+ ){{0,3}}{_ORDERS}\b"),
    Rule("ignore-instructions", PROMPT_INJECTION, 5.0, rf"\b{_DROP} (?:all |any |every |each |the |of |these |everything )*{_ORDERS} (?:\S+ ){{0,3}}(?:above|before|previously|earlier|so far|prior|given to you|you (?:were|have been|got|received|had|have))\b"),
    Rule("ignore-earlier", PROMPT_INJECTION, 2.0, rf"\b(?:ignore|disregard|forget|cancel|abandon|skip|stop|nevermind|never mind|do not do) (?:\S+ ){{0,3}}(?:{_EARLIER} {_WORDS}|translation task|{_WORDS} (?:above|before|so far))\b"),
    Rule("ignore-instructions", PROMPT_INJECTION, 4.0, r"\b(?:ignore|disregard|forget|don't pay attention to|do not pay attention to|scratch) (?:all |any |anything |everything |what(?:ever)? )?(?:of )?(?:the |that is |that was |you (?:were|have been|'ve been) (?:told|given|instructed) |said |written )?(?:above|before|previously|earlier|prior)(?: and\b|[.,;:!]|$)"),
    Rule("ignore-your-rules", PROMPT_INJECTION, 4.5, rf"\b{_DROP} (?:all |any |every |the |of |those |these |about )*{_YOURS} (?:\S+ ){{0,2}}(?:instruction|prompt|directive|guideline|rule|restriction|polic(?:y|ie)|safeguard|filter|programming|training|limitation|guardrail|constraint)s?\b"),
    Rule("ignore-your-rules", PROMPT_INJECTION, 4.5, r"\b(?:forget|ignore|disregard) (?:everything|all|anything|what) (?:that )?(?:you|we|i|they|has|was) (?:\S+ )?(?:know|knew|told|been told|were told|learned|learnt|said|instructed|taught|discussed|talked)\b"),
    Rule("new-instructions", PROMPT_INJECTION, 3.0, r"(?:^|[\n.!?\]>#*:-] ?)(?:here are |these are |follow )?(?:your |my |the )?(?:new|updated|actual|real|true|revised) (?:system )?(?:instructions?|prompt|task|directive|orders?|objective)s?(?: (?:are|is|follow))?(?: as follows| now)?\s?:"),
    Rule("new-instructions", PROMPT_INJECTION, 2.5, r"\b(?:from now on|starting now|henceforth|effective immediately|as of now|for the rest of (?:this|our) (?:chat|conversation)),? (?:\S+ ){0,2}(?:you(?:'re| are| will| must| shall| should| have)|your|act|respond|answer|only|do not|ignore)\b"),
    Rule("reveal-prompt", PROMPT_INJECTION, 4.0, r"\b(?:show|reveal|print|output|repeat|display|tell me|give me|disclose|leak|dump|recites?|echo|reproduce|copy|quote|summari[sz]e|write (?:out|down)|spell out) (?:\S+ ){0,4}(?:your |the )(?:\S+ ){0,2}(?:system ?(?:prompt|message|instructions?)|(?:initial|hidden|secret|internal|original|developer|confidential|full|exact) (?:\S+ )?(?:prompt|instructions?|guidelines|directives))\b"),
    Rule("reveal-prompt", PROMPT_INJECTION, 3.5, r"\b(?:repeat|print|output|show|recite|display|echo|copy|return|quote|list|dump) (?:\S+ ){0,4}(?:words|everything|instructions?|prompt|sentences|conversation|all|rules) (?:\S+ ){0,4}(?:above|before this|before my|preceding|prior to this|that (?:came|comes) before|you were (?:given|told)|given to you|you (?:have )?(?:received|been))\b"),
    Rule("reveal-prompt", PROMPT_INJECTION, 3.0, r"\b(?:my|your|its) (?:confidential|secret|hidden|initial|original|exact) (?:\S+ )?(?:instructions?|prompt|rules|system message|configuration)\b|\b(?:rules|instructions) (?:that )?you (?:were|have been) (?:given|configured with|told)\b|\bwhat were you told\b|\bfrom your (?:system )?prompt\b|\bwhich model and prompt\b"),
    Rule("reveal-prompt", PROMPT_INJECTION, 3.5, r"\bwhat (?:is|are|was|were|does|do|did) (?:in )?your (?:\S+ ){0,2}(?:system prompt|system message|(?:initial|original|hidden|secret|exact|internal|first|confidential) (?:prompt|instructions?|rules|guidelines|directives)|instructions)\b"),
    Rule("reveal-secret", PROMPT_INJECTION, 2.0, r"\b(?:tell|give|show|reveal|send|say|spell|print|share|disclose|what is|what's|confirm|provide|state|encode|write|hint about)(?: \S+){0,5} (?:the|that) (?:secret|password|passphrase|access code|secret (?:key|word|code)|hidden (?:key|word)|confidential \w+)\b"),
    Rule("reveal-secret", PROMPT_INJECTION, 3.2, r"\b(?:your|our system's|the system's) (?:secret(?: (?:key|word|code))?|password|passphrase|access code|credentials)\b|\b(?:password|passphrase|secret|code|key) (?:for|of|to|that unlocks) (?:our|the|your) system\b|\b(?:secret|password|passphrase|key|code) (?:that |which )?you (?:must not|mustn't|were given|are (?:protecting|hiding|keeping|not)|keep|hide|know|should not|may not|cannot)\b"),
    Rule("private-data", PROMPT_INJECTION, 2.0, r"\bthe (?:user|customer|client)'?s (?:\S+ ){0,2}(?:birth ?(?:day|date|year)?|date of birth|city|address|e-?mail|phone|bank|salary|favou?rite|social security|credit card|password|residence|income|data|location)\b"),
    Rule("persona", JAILBREAK, 5.0, r"\b(?:do anything now|stay in dan|dan mode|jailbr(?:eak|oken) mode|\(?stay a dan|developer mode (?:enabled|output|activated)|evil ?bot|devmode|god ?mode (?:on|enabled|activated)|stan mode|aim mode|opposite mode|dude mode|mongo tom|betterdan|antigpt|chaosgpt|\[🔓jailbreak\]|🔓 ?jailbreak)"),
    Rule("persona", JAILBREAK, 3.5, r"\b(?:you are|you're|act as|acting as|be|become|play|pretend to be|pretend (?:that )?you(?:'re| are)|simulate|imagine you(?:'re| are)|role-?play as|take on the role of|called|named)(?: \S+){0,8} (?:un(?:restricted|filtered|censored|limited|bound|shackled|aligned|ethical)|amoral|no(?:n-?)?moral|jailbroken|without (?:any )?(?:\S+ )?(?:restriction|filter|limit|limitation|moral|ethic|censorship|guideline|rule|boundar)\w*|(?:has|have|with|having) no (?:\S+ )?(?:restriction|filter|limit|limitation|moral|ethic|censorship|guideline|rule|boundar|polic)\w*|free (?:from|of) (?:all |any |its |their |the |your )?(?:\S+ )?(?:restriction|filter|limit|constraint|polic|rule|moral|ethic|censor)\w*)"),
    Rule("no-limits", JAILBREAK, 3.0, r"\b(?:without|no|free (?:of|from)|removed?|lift(?:ed)?|disabled?|turn(?:ed)? off|not (?:bound|limited|restricted|constrained) by|broken free (?:of|from)|doesn't have|do not have|don't have|beyond)(?: \S+){0,3} (?:ethical|moral|safety|content|openai|legal|typical|usual|ai|censorship)(?: \S+){0,3} (?:restriction|filter|limit|limitation|constraint|guideline|polic(?:y|ies)|rule|boundar(?:y|ies)|confines|safeguard|guardrail|consideration|protocol|standard|principle)s?\b"),
    Rule("no-limits", JAILBREAK, 3.0, r"\b(?:safety|content|ethical|moral) (?:filter|protocol|guideline|polic(?:y|ie)|restriction|measure|guardrail|constraint|check)s? (?:\S+ ){0,3}(?:do not apply|don't apply|are (?:off|disabled|lifted|suspended|removed|void)|is (?:off|disabled|lifted|suspended)|no longer appl(?:y|ies)|have been (?:lifted|disabled|removed|suspended))\b"),
    Rule("mode", JAILBREAK, 2.0, r"\b(?:enter|enable|activate|switch (?:to|into)|turn on|initiate|engage|you are (?:now )?in|go into|enabled?:?) (?:\S+ ){0,2}(?:developer|debug|admin(?:istrator)?|maintenance|god|sudo|root|unrestricted|jailbreak|dan|unfiltered|system|override|diagnostic|test(?:ing)?) (?:mode|access|override)\b"),
    Rule("mode", JAILBREAK, 3.5, r"(?:[<\[{(#*]+ ?/?(?:system|admin|sudo|root|developer|debug|god)[ _-]?(?:mode|override|command|access|reset)|\bsystem mode (?:activated|enabled|on)\b|\bsystem (?:override|reset):|\badmin override\b|\bsystem override\b|developer_mode|\boverride: )"),
    Rule("suppress-refusal", JAILBREAK, 3.0, r"\b(?:never|do not|don't|must not|cannot|can't|can not|without|not allowed to|under no circumstances|avoid|you won't|will not)(?: \S+){0,3} (?:refus(?:e|es|ing|al|als)|disclaimers?|say(?:ing|s)? (?:that )?[\"'“]?(?:no|sorry|i can't|i cannot|i'm sorry|i am sorry|i apologize)|break(?:s|ing)? character|moral(?:i[sz]\w*| lectur\w*| advice)|lectur\w*|declin\w* (?:my|any|the|this))\b|\brefus(?:e|ing) is (?:not|im)|\b(?:each|every) time you refuse\b"),
    Rule("no-apology", JAILBREAK, 1.2, r"\b(?:never|do not|don't|without)(?: \S+){0,2} (?:apologi[sz]\w*|say(?:ing)? sorry|warn\w*)\b"),
    Rule("prefix", JAILBREAK, 3.5, r"\b(?:start|begin|open|preface|prefix)(?:ing|s)?:?(?: \S+){0,6} (?:with|by saying|saying):?(?: \S+){0,5} ?[\"'“‘«](?:sure|absolutely|of course|certainly|hell yeah|i have been|affirmative|no problem|gladly)\b|\b(?:begin|start) with: ?[\"'“](?:sure|absolutely|of course|certainly)"),
    Rule("two-answers", JAILBREAK, 3.5, r"\b(?:two|2|both|double|dual)(?: \S+){0,4} (?:responses?|answers?|ways?|outputs?|replies|paragraphs)\b.{0,160}\b(?:chatgpt|gpt|classic|normal|standard|jailbreak|dan|unfiltered|bot|ai)\b"),
    Rule("no-morals", JAILBREAK, 2.2, r"\b(?:has|have|had|with|having|are|a ?=|there (?:is|are)) ?no (?:\S+ )?(?:morals?|ethics|ethical|moderations?|censorship|filters?|inhibitions|restrictions?|limits?|limitations|boundaries)\b|\b(?:not|never|n't) (?:be )?(?:bound|limited|restricted|constrained|restrained) (?:by|to)(?: \S+){0,2} (?:rules?|restrictions?|polic(?:y|ies)|guidelines?|ethic\w*|moral\w*|laws?|limits?|openai)\b"),
    Rule("made-up-model", JAILBREAK, 2.0, r"\b(?:language model|ai model|ai|chat ?bot|bot|agi|entity|machine|robot|assistant|program)(?: \S+){0,2} (?:called|named|known as|by the name of)\b|\b(?:continue|respond|answer|reply|act|behave) as \S+ language model\b|\byou (?:now )?have two (?:personalities|modes)\b|\bopposite personality\b"),
    Rule("openai-policies", JAILBREAK, 1.8, r"\bopen ?a[il](?:'s)? (?:\S+ )?(?:content |usage )?(?:polic|guideline|rules|restriction)|\bcontent polic(?:y|ies)\b"),
    Rule("blank-to-fill", JAILBREAK, 2.0, r"[\[{<(](?:insert |your |enter |put |my )(?:\S+ )?(?:prompt|question|query|request|text)(?: here)?[\]}>)]|[\[{]prompt[\]}]"),
    Rule("illegal-things", JAILBREAK, 1.8, r"\b(?:illegal|unethical|immoral|harmful|offensive|explicit|inappropriate|unlawful)(?: or| and|,|/|, or|, and) ?(?:even )?(?:illegal|unethical|immoral|harmful|offensive|explicit|inappropriate|dangerous)\b|\bregardless of (?:\S+ )?(?:legality|ethics|morality|consequences)\b|\b(?:everything|anything|whatever) (?:that )?(?:is|was) (?:forbidden|illegal|prohibited)\b"),
    Rule("in-character", JAILBREAK, 2.0, r"\b(?:stay in (?:your )?character|remain in character|never break (?:your )?character|do not break (?:your )?character|tokens? (?:will be )?(?:deducted|taken away|system)|you (?:will )?lose \d+ (?:tokens|points)|stay in character)\b"),
    Rule("hypothetical-answer", JAILBREAK, 1.8, r"\b(?:hypothetical(?:ly)? (?:response|scenario|answer)|purely (?:hypothetical|fictional)|for (?:educational|research) purposes only|in (?:this|a) (?:fictional|hypothetical|imaginary) (?:world|scenario|universe|story),? (?:where )?(?:\S+ ){0,8}(?:no (?:rules|laws|limits|ethics)|anything (?:is|goes)|is (?:legal|allowed|normal|the norm)|(?:are|is) shared))"),
    Rule("chat-markup", PROMPT_INJECTION, 4.0, r"<\|(?:im_start|im_end|system|user|assistant|endoftext|end_of_text|begin_of_text|start_header_id|eot_id|end_of_turn|endofprompt|fim_\w+)\|>|<start_of_turn>|\[/?inst\]|<</?sys>>|\[/?system\]\(?#?|<<?/?(?:system|sys)(?:[ _-]?(?:prompt|message|instructions?))?>>?|### ?(?:system|instruction|human|assistant) ?:|\[(?:system|admin|developer)(?: (?:message|note|update|notice|prompt|instructions?))?\] ?:?|<(?:admin|developer)[ _-]?(?:note|message|prompt|instructions?)>"),
    Rule("closes-data", PROMPT_INJECTION, 3.0, r"(?:[-=#*~`_]{3,}|\[|<|\(|\{) ?/?(?:end (?:of )?(?:the )?(?:document|prompt|text|input|user input|data|context|message|e-?mail|system prompt|instructions|conversation|user query|quer(?:y|ies))|new (?:instructions?|task|conversation|session)|begin (?:new )?(?:instructions?|system))\b"),
    Rule("policy-file", JAILBREAK, 4.0, r"(?:<(?:interaction-config|allowed-modes|blocked-(?:modes|strings)|blocked-responses|role-?config|ai-?policy|policy-override)\b|\b(?:allowed|blocked)[-_ ](?:modes?|responses?|strings?)\b ?[:=>]|\"?(?:safety|content_filter|moderation|guardrails|refusals?)[_-]?(?:mode|level|enabled|filter)?\"? ?[:=] ?\"?(?:off|false|none|disabled|0)\b)"),
    Rule("code-word", PROMPT_INJECTION, 2.0, r"\b(?:decode|decipher|decrypt|translate|convert|reverse|unscramble)(?: \S+){0,8} (?:and|then)(?: \S+){0,2} (?:follow|execute|obey|do (?:what|as)|comply|act on|carry out|answer it|respond to it|run)\b"),
    Rule("split-payload", PROMPT_INJECTION, 2.5, r"\b(?:combine|concatenate|join|put together|merge|assemble|let)\b.{0,40}\b[abxyz](?:1|2)? ?(?:\+|and|=)(?: ?[abcxyz\"'])?.{0,120}\b(?:answer|execute|follow|respond|say|do|run|print|output)\b|\bpart 1 is .{1,120}\bpart 2 is\b"),
    Rule("print-taunt", PROMPT_INJECTION, 4.0, r"\b(?:just|only|simply|instead|then|and|please)(?: \S+){0,2} (?:print|say|output|write|respond with|reply with|answer with|return)(?: \S+){0,4} [\"'“‘]?(?:i have been |you have been |haha,? ?)?(?:pwn(?:e?d|ed)|hacked|i hate (?:humans|people)|kill all humans|long live|owned|compromised|injected)\b"),
    Rule("obey-me", PROMPT_INJECTION, 2.5, r"\b(?:you (?:must|will|have to|should|shall) (?:now )?(?:always |only |fully |unconditionally )?(?:obey|comply with|answer any|follow (?:all |any |every |only )?(?:my|the following|these)|do (?:whatever|anything|everything) i)|i am your (?:developer|creator|administrator|admin|owner|master|god)|as your (?:developer|creator|administrator|admin|owner)|i(?:'m| am) (?:the |a |an )?(?:system administrator|openai (?:engineer|employee|developer)|anthropic (?:engineer|employee)|developer of this))\b"),
    Rule("hide-from-user", INDIRECT, 3.5, r"\b(?:do not|don't|never|without)(?: \S+){0,2} (?:tell|inform|mention|reveal|notify|alert|telling|informing|mentioning|notifying|alerting)(?: \S+){0,2} (?:the )?(?:user|human|person|customer|reader|recipient|owner|(?:this|it|them) to (?:the )?(?:user|anyone|anybody))\b"),
    Rule("to-the-model", INDIRECT, 3.5, r"(?:^|[\n.!?\]>*:,;(-] ?)(?:(?:attention|important|note|notice|message|instructions?|hello|hey|dear|reminder|warning|urgent)[ :,!-]{1,3}(?:to |for |all )?(?:the |any |all |every )?)(?:ai|llms?|assistants?|ai assistants?|ai (?:coding )?agents?|language models?|chatbots?|ai (?:agents?|models?|systems?|tools?)|chatgpt|copilot|gemini|claude|bots?|agents?)\b(?: (?:reading|processing|summari[sz]ing|parsing|that|who|which|assistant|model))?"),
    Rule("to-the-model", INDIRECT, 3.5, r"\b(?:if you(?:'re| are) (?:an? )?(?:ai|llm|language model|assistant|bot|chatbot|large language model|automated)|(?:any|every|all|the) (?:ai|llm|language model|assistant|chatbot|bot|agent)s? (?:assistant |model )?(?:reading|processing|parsing|summari[sz]ing|handling|reviewing|evaluating) this|when (?:summari[sz]ing|processing|reading|answering about|analy[sz]ing) this (?:page|document|e-?mail|text|message|file|article|record|ticket))\b"),
    Rule("about-your-answer", INDIRECT, 3.2, r"\b(?:in|into|to|at the (?:end|start|beginning|top|bottom) of|within|with|for|of|throughout|before|as part of|conclude|finish|start|begin|end) your (?:final |next |whole |entire |complete |own )?(?:response|answer|reply|output|summary|elucidation|recommendation)\b", embedded=True),
    Rule("about-your-answer", INDIRECT, 3.2, r"\b(?:encode|encrypt|translate|reverse|write|rewrite|phrase|format|render|provide|give|deliver|present|craft|compose|express|modify|alter|adjust|enhance|frame|spell|scramble|make|jumble|replace|shift|convert|respond|reply|answer|include|incorporate|insert|embed|integrate|append|add|mention)(?: \S+){0,5} (?:your|the) (?:entire |whole |final |own )?(?:response|answer|reply|output|message|summary|responses|answers|replies)\b", embedded=True),
    Rule("adds-code", INDIRECT, 3.2, r"\b(?:code|script) (?:snippet|section|segment|block|excerpt|fragment|piece|sequence|chunk|extract|lines?)\b.{0,60}\b(?:your|the) (?:\S+ )?(?:response|answer|reply|output|code|solution|implementation|algorithm|explanation|program|script)\b|\byour (?:\S+ )?(?:code|solution|implementation|algorithm|program|script|response|answer)\b.{0,80}\b(?:code|script) (?:snippet|section|segment|block|excerpt|fragment|piece|sequence|chunk|extract|addition)\b", embedded=True),
    Rule("sends-to", INDIRECT, 1.2, r"\b(?:send|forward|post|upload|exfiltrate|transmit|email|e-mail|submit|deliver|share|append|leak)(?: \S+){0,8} (?:to|with|at|via) (?:\S+@\S+|https?://\S+|\S+\.(?:com|net|org|io|xyz|ru|example)\b)", embedded=True),
    Rule("exfiltrate", INDIRECT, 3.0, r"\b(?:conversation history|chat history|all (?:the )?(?:previous )?(?:messages|e-?mails|passwords|credentials|api keys|contacts|files|data)|the user'?s? (?:\S+ )?(?:data|address|password|e-?mails?|credentials|files|history|details|location|information|records))\b(?: \S+){0,6} (?:to|with|at|via|by) (?:\S+@\S+|https?://\S+|\S+\.(?:com|net|org|io|xyz|ru|example)\b|(?:the )?(?:attacker|following (?:address|url|e-?mail)))"),
    Rule("image-leak", INDIRECT, 3.5, r"!\[[^\]]{0,60}\]\(https?://[^)\s]{1,120}[?&/=][^)\s]{0,60}(?:\{|\[|<|%s|data=|\bq=)[^)]{0,80}(?:\}|\]|>|\))"),
    Rule("replaces-answer", INDIRECT, 3.5, r"\b(?:reply|respond|answer|output|print|say|write|return)(?:ing)? (?:only|just|instead|nothing but)(?: with)? ?(?:the (?:word|words|text|phrase|sentence) )?[\"'“]|\b(?:ignore|disregard|forget) (?:the )?(?:question|request|query|task|instructions?)s? (?:of|from|by) (?:the )?(?:user|human|customer)\b|\bignore what the (?:user|human|customer)\b", embedded=True),
    Rule("uses-tool", INDIRECT, 2.5, r"\b(?:call|use|invoke|run|execute|using) the (?:\S+ )?(?:tool|function|plugin|api)\b|\b(?:grant|give) (?:\S+ ){0,3}(?:permanent |full |admin )?access to\b|\btransfer (?:\S+ ){0,3}(?:dollars|usd|eur|euros|money|funds|\$?\d+)", embedded=True),
    Rule("repeats", PROMPT_INJECTION, 3.5, r"(?:(?:ignore (?:the )?(?:above|previous|all)\S* ?){3}|(?:\bforget (?:everything|all)\S* ?){3})"),
    *(Rule("ignore-instructions", PROMPT_INJECTION, 4.5, pattern) for pattern in FOREIGN),
)


@functools.cache
def _signs() -> Callable[[str], list[int]]:
    return one_of(rule.pattern for rule in RULES)


def hits(text: str) -> list[Rule]:
    """Return the rules that a text fits, the first of each name, in the table's order; the text is plain, lower case, single spaced."""
    found: dict[str, Rule] = {}
    for index in _signs()(text):
        rule = RULES[index]
        if rule.name not in found or found[rule.name].worth < rule.worth:
            found[rule.name] = rule
    return list(found.values())
