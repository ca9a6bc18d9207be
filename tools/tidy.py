#!/usr/bin/env python3
"""The house rules as a test: `tidy.py [FOLDER]`, FOLDER being a git working tree (default: this one).

layers     includes and CMake links go down only (tools/layers.txt); x/internal/ stays inside x
size       lines <= 100 characters (120 in Python and shell), sources <= 600 lines, functions <= 70 lines
banned     calls that have a better replacement (tools/banned.txt)
forbidden  words that no tracked file may hold (tools/forbidden.txt)
unbuilt    sources that no CMakeLists.txt names, headers that nobody includes
contract   public types without a comment that says what they are
meta       names of the store's meta rows that are spelled outside their table (META_TABLE)
exception  tools/tidy_exceptions.txt: entries that are not needed, or more of them than before

Prints `path:line: rule: detail: what to do` for each finding. Exit code 0: none; 1: some.
"""
import ast
import dataclasses
import fnmatch
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cpp_scan  # noqa: E402

SOURCE_MAX, FUNCTION_MAX = 600, 70
LINE_MAX = {".cpp": 100, ".h": 100, ".py": 120, ".sh": 120}  # the page's files have their own formatter
CPP = (".cpp", ".h")
SIZED = (".cpp", ".h", ".py", ".sh", ".ts")
META_TABLE = "src/store/commit/meta_names"
COMPILED_FOLDERS = ("src/", "tests/", "bench/", "examples/", "tools/", "cmake/")


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    detail: str  # what an exception names: stable when lines move
    mend: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.detail}: {self.mend}"


class Tree:
    """The files that git knows of (tracked, or new and not ignored), read once."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=root, check=True, stdout=subprocess.PIPE).stdout.decode()
        self.paths = sorted(path for path in set(listed.split("\0"))
                            if path and (self.root / path).is_file())
        self.texts = {}
        self.codes = {}

    def text(self, path):
        if path not in self.texts:
            raw = (self.root / path).read_bytes()
            self.texts[path] = "" if b"\0" in raw[:8000] else raw.decode("utf-8", errors="replace")
        return self.texts[path]

    def code(self, path):
        """C++ without comments and strings, with every line where it was."""
        if path not in self.codes:
            self.codes[path] = cpp_scan.blank_comments_and_strings(self.text(path))
        return self.codes[path]

    def cpp(self, *prefixes):
        return [path for path in self.paths if path.endswith(CPP) and path.startswith(prefixes or "")]

    def table(self, path):
        """The lines of a settings file of tidy itself, without comments."""
        if path not in self.paths:
            return []
        return [line for line in self.text(path).splitlines() if line.strip() and line[0] != "#"]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_layers(tree):
    ranks = {folder: rank for rank, line in enumerate(tree.table("tools/layers.txt"))
             for folder in line.split()}
    for path in tree.cpp("src/"):
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            include = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if include:
                yield from check_include(path, number, include.group(1), ranks)
    for path in tree.paths:
        if path.startswith("src/") and path.endswith("CMakeLists.txt"):
            yield from check_links(tree, path, ranks)
    for path in tree.cpp("tests/", "bench/", "examples/"):
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            include = re.match(r'\s*#\s*include\s*"([^"]*/internal/[^"]*)"', line)
            if include:
                yield Finding(path, number, "layers", include.group(1),
                              "internal to its folder: test it beside the code, or through its header")


def check_include(path, number, included, ranks):
    own, other = path.split("/")[1], included.split("/")[0]
    if "/internal/" in f"/{included}":
        owner = f"src/{included}".split("/internal/")[0] + "/"
        if not path.startswith(owner):
            yield Finding(path, number, "layers", included, f"internal to {owner}: use its public headers")
    if own not in ranks:
        yield Finding(path, number, "layers", own, "a folder of src/ that tools/layers.txt does not list")
    elif other in ranks and other != own and ranks[other] >= ranks[own]:
        yield Finding(path, number, "layers", included,
                      f"{own} is of rank {ranks[own]} and may include lower ranks only, {other} is of"
                      f" {ranks[other]}: hand it in by constructor, or move what both need down")


def check_links(tree, path, ranks):
    own = path.split("/")[1]
    text = re.sub(r"#[^\n]*", "", tree.text(path))
    for match in re.finditer(r"\bqw_([a-z]+)\b", text):
        other = match.group(1)
        if other in ranks and own in ranks and other != own and ranks[other] >= ranks[own]:
            yield Finding(path, line_of(text, match.start()), "layers", match.group(0),
                          f"{own} may link lower ranks only")


def check_sizes(tree):
    for path in tree.paths:
        if not path.endswith(SIZED):
            continue
        lines = tree.text(path).splitlines()
        if len(lines) > SOURCE_MAX:
            yield Finding(path, SOURCE_MAX + 1, "size", "file",
                          f"{len(lines)} lines, at most {SOURCE_MAX}: split it by what it does")
        limit = LINE_MAX.get(pathlib.PurePosixPath(path).suffix, sys.maxsize)
        for number, line in enumerate(lines, 1):
            if len(line) > limit:
                yield Finding(path, number, "size", "line", f"{len(line)} characters, at most {limit}")
        for name, first, last in functions_of(tree, path):
            if last - first + 1 > FUNCTION_MAX:
                yield Finding(path, first, "size", name, f"{last - first + 1} lines, at most"
                              f" {FUNCTION_MAX}: keep the decisions here, move the parts out")


def functions_of(tree, path):
    if path.endswith(CPP):
        return cpp_scan.functions(tree.code(path))
    if path.endswith(".py"):
        nodes = ast.walk(ast.parse(tree.text(path)))
        return [(node.name, node.lineno, node.end_lineno) for node in nodes
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return []


def pattern_table(tree, path):
    for line in tree.table(path):
        # The first two separators from the right: a pattern may hold "|" itself.
        pattern, allowed, mend = (part.strip() for part in line.rsplit(" | ", 2))
        yield re.compile(pattern), [] if allowed == "-" else allowed.split(), mend


def check_banned(tree):
    for pattern, allowed, mend in pattern_table(tree, "tools/banned.txt"):
        for path in tree.cpp():
            if any(fnmatch.fnmatch(path, each) for each in allowed):
                continue
            code = tree.code(path)
            for match in pattern.finditer(code):
                if "hit" in pattern.groupindex and match.group("hit") is None:
                    continue
                found = " ".join(match.group(0).split())
                yield Finding(path, line_of(code, match.start()), "banned", found, mend)


def check_forbidden(tree):
    for pattern, allowed, why in pattern_table(tree, "tools/forbidden.txt"):
        for path in tree.paths:
            if path == "tools/forbidden.txt" or any(fnmatch.fnmatch(path, each) for each in allowed):
                continue
            text = tree.text(path)
            for match in pattern.finditer(text):
                yield Finding(path, line_of(text, match.start()), "forbidden", match.group(0), why)


def check_unbuilt(tree):
    named = set()
    for path in tree.paths:
        if path.endswith(("CMakeLists.txt", ".cmake")):
            folder = pathlib.PurePosixPath(path).parent
            text = re.sub(r"#[^\n]*", "", tree.text(path))
            for token in re.findall(r"[\w./${}-]+\.cpp\b", text):
                token = re.sub(r"^\$\{(PROJECT|CMAKE)_SOURCE_DIR\}/", "/", token)
                named.add(token[1:] if token.startswith("/") else str(folder / token))
    for path in tree.cpp(*COMPILED_FOLDERS):
        if path.endswith(".cpp") and path not in named:
            yield Finding(path, 1, "unbuilt", "source", "no CMakeLists.txt names it: list it or remove it")
    included = set()
    for path in tree.cpp():
        folder = pathlib.PurePosixPath(path).parent
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', tree.text(path), re.M):
            included |= {f"src/{name}", str(folder / name)}
    for path in tree.cpp("src/"):
        if path.endswith(".h") and path not in included:
            yield Finding(path, 1, "unbuilt", "header", "nobody includes it: remove it or use it")


def check_contracts(tree):
    for path in tree.cpp("src/"):
        if not path.endswith(".h") or "/internal/" in path:
            continue
        lines = tree.text(path).splitlines()
        for name, number in cpp_scan.types(tree.code(path)):
            above = number - 2
            while above >= 0 and re.match(r"\s*(template\b|requires\b|\[\[)", lines[above]):
                above -= 1
            if above < 0 or not re.search(r"//|\*/\s*$", lines[above]):
                yield Finding(path, number, "contract", name, "say above it what it is, who owns it,"
                              " what may run concurrently and how it fails")


def check_meta_names(tree):
    """In a call: no literal, no constant of the file's own. Elsewhere: no literal that begins like a name."""
    table = tree.text(f"{META_TABLE}.h") if f"{META_TABLE}.h" in tree.paths else ""
    # Parts of a name begin too much else.
    names = [name for name in re.findall(r'\bk\w+ = "([^"]+)"', table) if re.match(r"\w{3,}[/-]", name)]
    spelled = re.compile(r'(?<!include )"(' + "|".join(map(re.escape, names)) + ")") if names else None
    call = re.compile(r"\b(?:put|get|scan|erase)_meta(?:_prefix)?\(\s*(?=[,)+]|fmt::|std::(?!string_view)|k[A-Z])")
    for path in tree.cpp("src/"):
        if path.startswith(META_TABLE) or path.endswith("_test.cpp"):
            continue
        for match in call.finditer(tree.code(path)):
            yield Finding(path, line_of(tree.code(path), match.start()), "meta", match.group(0).split("(")[0],
                          f"build the name by a function of {META_TABLE}.h")
        text = cpp_scan.blank_comments(tree.text(path))
        for match in spelled.finditer(text) if spelled else ():
            yield Finding(path, line_of(text, match.start()), "meta", match.group(1),
                          f"it is spelled in {META_TABLE}.h alone")


CHECKS = (check_layers, check_sizes, check_banned, check_forbidden, check_unbuilt, check_contracts, check_meta_names)
EXCEPTIONS = "tools/tidy_exceptions.txt"


def apply_exceptions(tree, findings):
    """Takes out what the exceptions name, and adds what is wrong with the exceptions themselves."""
    entries, allowed = [], 0
    for line in tree.table(EXCEPTIONS):
        if line.startswith("count "):
            allowed = int(line.split()[1])
        else:
            entries.append(tuple(line.split(None, 2)))
    needed = {(each.rule, each.path, each.detail) for each in findings}
    kept = [each for each in findings if (each.rule, each.path, each.detail) not in entries]
    for entry in entries:
        if entry not in needed:
            kept.append(Finding(EXCEPTIONS, 1, "exception", " ".join(entry), "not needed: remove it"))
    if len(entries) > allowed:
        kept.append(Finding(EXCEPTIONS, 1, "exception", f"{len(entries)} entries",
                            f"at most {allowed}: mend what is new instead of excepting it"))
    elif len(entries) < allowed:
        kept.append(Finding(EXCEPTIONS, 1, "exception", f"{len(entries)} entries",
                            f"lower the count to {len(entries)}, so that it stays so"))
    return kept


def run(root):
    tree = Tree(root)
    findings = [finding for check in CHECKS for finding in check(tree)]
    return tree, apply_exceptions(tree, findings)


def main(arguments):
    root = arguments[0] if arguments else pathlib.Path(__file__).resolve().parents[1]
    tree, findings = run(root)
    for finding in sorted(findings, key=lambda each: (each.path, each.line, each.rule)):
        print(finding)
    print(f"tidy: {len(tree.paths)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
