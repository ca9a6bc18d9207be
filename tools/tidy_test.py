#!/usr/bin/env python3
"""Aim: tidy sees every fault it promises to see, and lets sound code pass.
Method: a small sound project in a folder of its own; each test plants one fault and expects one finding.
The last line of output counts the cases, as `./dev test` reads it.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import cpp_scan  # noqa: E402
import tidy  # noqa: E402

SOUND = {
    "src/base/CMakeLists.txt": "qw_layer(base SOURCES a.cpp)\n",
    "src/base/a.h": "#pragma once\n// A number. Copied freely; never fails.\nstruct A {\n  int x;\n};\n",
    "src/base/a.cpp": '#include "base/a.h"\n\nnamespace qw {\nint one() { return 1; }\n}  // namespace qw\n',
    "src/store/CMakeLists.txt": "qw_layer(store SOURCES s.cpp LINK qw_base)\n",
    "src/store/internal/i.h": "#pragma once\nstruct Inner {};\n",
    "src/store/s.cpp": '#include "base/a.h"\n#include "store/internal/i.h"\nint two() { return 2; }\n',
    "src/streams/CMakeLists.txt": "qw_layer(streams SOURCES t.cpp LINK qw_store)\n",
    "src/streams/t.h": "#pragma once\n// A source.\nclass T {};\n",
    "src/streams/t.cpp": '#include "streams/t.h"\nint three() { return 3; }\n',
    "src/features/CMakeLists.txt": "qw_layer(features SOURCES f.cpp LINK qw_store)\n",
    "src/features/f.cpp": '#include "base/a.h"\nint four() { return 4; }\n',
    "tools/tidy_exceptions.txt": "count 0\n",
}


class PlantedFaults(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="quickwater-tidy-"))
        self.addCleanup(shutil.rmtree, self.root)
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)
        for path, text in SOUND.items():
            self.write(path, text)
        for name in ("layers.txt", "banned.txt", "forbidden.txt"):
            shutil.copy(HERE / name, self.root / "tools" / name)

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def append(self, path, text):
        self.write(path, (self.root / path).read_text() + text)

    def findings(self):
        return [(each.rule, each.path, each.detail) for each in tidy.run(self.root)[1]]

    def expect(self, rule, path, detail):
        self.assertEqual(self.findings(), [(rule, path, detail)])

    def test_sound_project_has_no_findings(self):
        self.assertEqual(self.findings(), [])

    def test_include_of_a_higher_layer(self):
        self.append("src/base/a.cpp", '#include "streams/t.h"\n')
        self.expect("layers", "src/base/a.cpp", "streams/t.h")

    def test_include_of_the_same_rank(self):
        self.append("src/features/f.cpp", '#include "streams/t.h"\n')
        self.expect("layers", "src/features/f.cpp", "streams/t.h")

    def test_include_of_internals(self):
        self.append("src/streams/t.cpp", '#include "store/internal/i.h"\n')
        self.expect("layers", "src/streams/t.cpp", "store/internal/i.h")

    def test_include_of_internals_from_tests(self):
        self.write("tests/flow/CMakeLists.txt", "qw_test(flow SOURCES f_test.cpp)\n")
        self.write("tests/flow/f_test.cpp", '#include "store/internal/i.h"\n')
        self.expect("layers", "tests/flow/f_test.cpp", "store/internal/i.h")

    def test_internals_of_a_folder_inside_a_layer(self):
        self.write("src/streams/connectors/k/internal/k.h", "struct K {};\n")
        self.append("src/streams/t.cpp", '#include "streams/connectors/k/internal/k.h"\n')
        self.expect("layers", "src/streams/t.cpp", "streams/connectors/k/internal/k.h")

    def test_folder_that_no_layer_names(self):
        self.write("src/extra/CMakeLists.txt", "qw_layer(extra SOURCES e.cpp)\n")
        self.write("src/extra/e.cpp", '#include "base/a.h"\n')
        self.expect("layers", "src/extra/e.cpp", "extra")

    def test_link_of_a_higher_layer(self):
        self.write("src/base/CMakeLists.txt", "qw_layer(base SOURCES a.cpp LINK qw_store)\n")
        self.expect("layers", "src/base/CMakeLists.txt", "qw_store")

    def test_function_of_71_lines(self):
        self.append("src/base/a.cpp", "int long_one() {\n" + "  one();\n" * 69 + "}\n")
        self.expect("size", "src/base/a.cpp", "long_one")

    def test_function_of_70_lines_passes(self):
        self.append("src/base/a.cpp", "int long_one() {\n" + "  one();\n" * 68 + "}\n")
        self.assertEqual(self.findings(), [])

    def test_long_method_and_long_test(self):
        body = "  one();\n" * 80
        self.append("src/base/a.cpp", f"int A::m(int x) const {{\n{body}}}\nTEST(S, C) {{\n{body}}}\n")
        self.assertEqual(self.findings(), [("size", "src/base/a.cpp", "A::m"),
                                           ("size", "src/base/a.cpp", "S.C")])

    def test_long_python_function(self):
        self.write("tools/x.py", "def f():\n" + "    pass\n" * 80)
        self.expect("size", "tools/x.py", "f")

    def test_source_of_601_lines(self):
        self.append("src/base/a.cpp", "int x;\n" * 600)
        self.expect("size", "src/base/a.cpp", "file")

    def test_line_of_101_characters(self):
        self.append("src/base/a.cpp", "//" + "x" * 99 + "\n")
        self.expect("size", "src/base/a.cpp", "line")

    def test_every_banned_call_is_seen(self):
        faults = [
            "t.detach();", "system(x);", "popen(x, y);", "std::chrono::system_clock::now();",
            "std::chrono::steady_clock::now();", "time(nullptr);", "clock_gettime(a, b);", "rand();",
            "std::random_device d;", "std::mt19937 g;", "std::this_thread::sleep_for(x);", "usleep(1);",
            "std::cout << 1;", "printf(x);", "strcpy(a, b);", "sprintf(a, b);", "atoi(x);",
            "auto* p = new A;", "auto* p = new A[3];", "delete p;", "delete[] p;", "throw A{};",
            "exit(1);", "abort();", "assert(x);", "using namespace std;"]
        for fault in faults:
            with self.subTest(fault):
                self.write("src/base/a.cpp", f'#include "base/a.h"\nvoid f() {{ {fault} }}\n')
                self.assertEqual([rule for rule, _, _ in self.findings()], ["banned"])

    def test_words_that_only_look_banned(self):
        sound = [
            "A& operator=(const A&) = delete;", "std::unique_ptr<A>(new A(1));",
            "std::unique_ptr<A>(\n    new A(1));", "QW_ASSERT(x);", "file.system_name();",
            '"printf(x)"', "// a new A, then delete it: throw nothing", "operand(1);", "static_assert(true);",
            "std::snprintf(a, n, f);", "fail_point_exit(x);", "next_time(now);", "runtime(0);",
            "using namespace std::chrono_literals;", "new_one(x);", 'R"(throw)";', "'\"'; // \"", "1'000;"]
        for text in sound:
            with self.subTest(text):
                self.write("src/base/a.cpp", f'#include "base/a.h"\nvoid f() {{\n{text}\n}}\n')
                self.assertEqual(self.findings(), [])

    def test_banned_call_where_it_is_allowed(self):
        self.write("src/base/CMakeLists.txt", "qw_layer(base SOURCES a.cpp env_real.cpp)\n")
        self.write("src/base/env_real.cpp", "auto n() { return std::chrono::system_clock::now(); }\n")
        self.assertEqual(self.findings(), [])

    def test_unfinished_work(self):
        self.append("src/base/a.cpp", "// TO" + "DO: later\n")
        self.expect("forbidden", "src/base/a.cpp", "TO" + "DO")

    def test_path_of_one_machine(self):
        self.write("docs/x.md", "Look in /ho" + "me/me/x.\n")
        self.expect("forbidden", "docs/x.md", "/ho" + "me/m")

    def test_host_of_a_registry(self):
        self.write("ui/package-lock.json", '"resolved": "https://regis' + 'try.npmjs.org/x"\n')
        self.expect("forbidden", "ui/package-lock.json", "https://regis" + "try.npmjs")

    def test_source_that_nobody_builds(self):
        self.write("src/base/dead.cpp", "int dead() { return 0; }\n")
        self.expect("unbuilt", "src/base/dead.cpp", "source")

    def test_source_that_only_a_comment_names(self):
        self.write("src/base/dead.cpp", "int dead() { return 0; }\n")
        self.append("src/base/CMakeLists.txt", "# dead.cpp\n")
        self.expect("unbuilt", "src/base/dead.cpp", "source")

    def test_header_that_nobody_includes(self):
        self.write("src/base/dead.h", "#pragma once\n")
        self.expect("unbuilt", "src/base/dead.h", "header")

    def test_public_type_without_contract(self):
        self.append("src/base/a.h", "\nclass B : public A {\n};\n")
        self.expect("contract", "src/base/a.h", "B")

    def test_public_template_without_contract(self):
        self.append("src/base/a.h", "\ntemplate <class T>\nclass B final {\n};\n")
        self.expect("contract", "src/base/a.h", "B")

    def test_types_that_need_no_contract(self):
        self.append("src/base/a.h", "\nclass Declared;\nenum class E { kA };\n// Holds one.\n"
                    "template <class T>\nstruct Box {\n  struct Inside {\n    T x;\n  };\n};\n")
        self.assertEqual(self.findings(), [])

    META_TABLE = '#pragma once\nconstexpr auto kGap = "gap/", kPart = "p/";\n'
    META_USER = '#include "store/commit/meta_names.h"\n#include "store/internal/i.h"\n'

    def test_meta_name_outside_its_table(self):
        self.write("src/store/commit/meta_names.h", self.META_TABLE)
        faults = [("put_meta", 'put_meta("x", 1);'), ("get_meta", "get_meta(kOwn);"),
                  ("erase_meta", "erase_meta(std::string(kOwn) + x);"),
                  ("scan_meta", 'scan_meta(\n    "a/" + x, y);'),
                  ("erase_meta_prefix", 'erase_meta_prefix(fmt::format("{}/", x));'),
                  ("gap/", 'auto name = "gap/" + x;')]
        for detail, fault in faults:
            with self.subTest(fault):
                self.write("src/store/s.cpp", f"{self.META_USER}void f() {{ {fault} }}\n")
                self.expect("meta", "src/store/s.cpp", detail)

    def test_meta_name_from_its_table(self):
        self.write("src/store/commit/meta_names.h", self.META_TABLE)
        sound = 'put_meta(meta::gap(x), 1);\nscan_meta(store::meta::kGap, y);\nget_meta(name);\ng("p/", "gaps");\n'
        sound = f"void put_meta(std::string_view name);\n// \"gap/2\"\nvoid f() {{\n{sound}}}\n"
        self.write("src/store/s.cpp", self.META_USER + sound)
        self.assertEqual(self.findings(), [])

    def test_exception_covers_its_finding_alone(self):
        self.append("src/base/a.cpp", "void f() { throw A{}; }\nvoid g() { abort(); }\n")
        self.write("tools/tidy_exceptions.txt", "count 1\nbanned src/base/a.cpp throw\n")
        self.expect("banned", "src/base/a.cpp", "abort(")

    def test_exception_that_is_not_needed(self):
        self.write("tools/tidy_exceptions.txt", "count 1\nbanned src/base/a.cpp throw\n")
        self.expect("exception", "tools/tidy_exceptions.txt", "banned src/base/a.cpp throw")

    def test_exceptions_that_grew(self):
        self.append("src/base/a.cpp", "void f() { throw A{}; }\n")
        self.write("tools/tidy_exceptions.txt", "count 0\nbanned src/base/a.cpp throw\n")
        self.expect("exception", "tools/tidy_exceptions.txt", "1 entries")

    def test_exceptions_that_shrank_keep_their_gain(self):
        self.write("tools/tidy_exceptions.txt", "count 1\n")
        self.expect("exception", "tools/tidy_exceptions.txt", "0 entries")

    def test_ignored_files_are_not_looked_at(self):
        self.write(".gitignore", "/build/\n")
        self.write("build/x.cpp", "// TO" + "DO\n")
        self.assertEqual(self.findings(), [])


class Scan(unittest.TestCase):
    def test_functions_and_their_lines(self):
        code = ("namespace a {\nclass B {\n public:\n  B(int x) : x_{x} {\n  }\n  int f() const { return 1; }\n"
                "  int y = 3;\n};\n}\nauto g = [](int x) {\n  if (x) {\n  }\n};\n"
                "template <class T>\nrequires C<T>\nauto h(T t) -> int {\n  return [t] {\n return t; }();\n}\n")
        found = [(name, last - first) for name, first, last in cpp_scan.functions(code)]
        self.assertEqual([name for name, _ in found][-1], "h")
        self.assertIn(("f", 0), found)

    def test_blanked_code_keeps_its_lines(self):
        text = 'a /* x\ny */ "s{" b // {\n\'{\' R"z({\n)z" c 1\'000\n'
        blanked = cpp_scan.blank_comments_and_strings(text)
        self.assertEqual(blanked.count("\n"), text.count("\n"))
        self.assertNotIn("{", blanked)
        self.assertEqual("".join(blanked.split()).replace("'", ""), "abc1000")


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]))
    failed = len({str(case) for case, _ in result.failures + result.errors})
    print(f"{result.testsRun - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)
