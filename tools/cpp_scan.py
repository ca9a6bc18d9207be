"""Just enough of C++'s shape for tidy: where functions begin and end, and which types a header declares.

Not a parser: it follows braces in code whose comments and strings are blanked, and judges each brace by the words
before it. That is exact for code in the house style, which is what it is used on.
"""
import re

TOKEN = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?\*/)'
    r'|(?P<raw>\bu?8?R"(?P<fence>[^(\s]{0,16})\(.*?\)(?P=fence)")'
    r'|(?P<string>"(?:\\.|[^"\\\n])*")'
    r"|(?P<number>\b\d(?:'?[\w.])*)"
    r"|(?P<char>'(?:\\.|[^'\\\n])+')", re.S)
PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.M | re.S)
NOT_FUNCTIONS = re.compile(r"\b(if|for|while|switch|catch|do|else|try|return)\b")
TYPE_HEAD = re.compile(r"\b(?:class|struct|union)\s+(?:\[\[[^\]]*\]\]\s*)?(?:alignas\s*\([^)]*\)\s*)?"
                       r"(?P<name>\w+)(?:\s*<[^{}]*>)?\s*(?:final\s*)?(?::(?!:)[^{}]*)?$", re.S)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def blank_comments(text):
    return TOKEN.sub(lambda match: blank(match.group(0)) if match.group("comment") else match.group(0), text)


def blank_comments_and_strings(text):
    def replace(match):
        if match.lastgroup == "number" or match.group("number"):
            return match.group(0)
        kept = match.group(0)
        if match.group("comment"):
            return blank(kept)
        return kept[0] + blank(kept[1:-1]) + kept[-1] if match.group("char") else blank(kept)
    if '#include' in text:  # an include's quotes are not a string
        text = re.sub(r'^(\s*#\s*include\s*)"[^"]+"', lambda m: blank(m.group(0)), text, flags=re.M)
    return TOKEN.sub(replace, text)


def scopes(code):
    """Yields (kind, header, offset of header, offset of closing brace) for each brace pair that matters.

    Kinds: namespace, type, function. What is inside a function is not looked at.
    """
    code = PREPROCESSOR.sub(lambda match: blank(match.group(0)), code)
    stack = []
    begin = 0
    for match in re.finditer(r"[{};]", code):
        symbol, at = match.group(0), match.start()
        inside = any(kind in ("function", "other") for kind, _, _ in stack)
        if symbol == "{":
            header = code[begin:at]
            kind = "inner" if inside else judge(header)
            start = begin + len(header) - len(header.lstrip())
            stack.append((kind, header.strip(), start))
        elif symbol == "}" and stack:
            kind, header, start = stack.pop()
            if kind in ("namespace", "type", "function"):
                yield kind, header, start, at, [each for each, _, _ in stack]
        begin = at + 1


def judge(header):
    header = re.sub(r"^\s*((public|private|protected)\s*:)+", "", header).strip()
    if re.search(r"\bnamespace\b[^()]*$", header) or re.search(r"\bextern\s*$", header):
        return "namespace"
    if re.search(r"\benum\b", header) and not header.endswith(")"):
        return "other"
    plain = re.sub(r"^\s*template\s*<.*?>\s*(?=class|struct|union)", "", header, flags=re.S)
    if TYPE_HEAD.search(plain) and "(" not in TYPE_HEAD.search(plain).group(0).split(":")[0]:
        return "type"
    if header.endswith("=") or ")" not in header or NOT_FUNCTIONS.match(header):
        return "other"
    return "function"


def name_of(header):
    test = re.match(r"(TEST(?:_[FP])?|TYPED_TEST|BENCHMARK\w*)\s*\(\s*(\w+)\s*(?:,\s*(\w+))?", header)
    if test:
        return ".".join(filter(None, test.groups()[1:]))
    called = re.search(r"([\w:~]+|operator\s*\S+?)\s*\(", header)
    return called.group(1) if called else "function"


def functions(code):
    """(name, first line, last line) of every function body."""
    return [(name_of(header), code.count("\n", 0, start) + 1, code.count("\n", 0, end) + 1)
            for kind, header, start, end, _ in scopes(code) if kind == "function"]


def types(code):
    """(name, line) of every class, struct or union defined at namespace level."""
    found = []
    for kind, header, start, _, around in scopes(code):
        if kind == "type" and all(each == "namespace" for each in around):
            head = TYPE_HEAD.search(header)
            found.append((head.group("name"), code.count("\n", 0, start + head.start()) + 1))
    return found
