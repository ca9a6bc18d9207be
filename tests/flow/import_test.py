"""Aim: a model that was made elsewhere serves, as docs/reference/models.md says, from the files on that page.

The page's application runs on a file that grows; its model is brought in, a wrong one is refused, and every score is
worked out again from the weights.

  import_test.py PROGRAM
"""
import json
import math
import os
import pathlib
import re
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, check, run_cases, wait_for

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/reference/models.md"
FIRST_S = 1_700_000_000


def files_of_page():
    blocks = re.findall(r"```(yaml|json)\n(.*?)```", PAGE.read_text(), re.S)
    check([kind for kind, _ in blocks] == ["yaml", "json", "json"], "the page has an application, a model and weights")
    return [text for _, text in blocks]


class Payments:
    """The page's application on a file of its own, and the page's model in a folder beside it."""

    def __init__(self, binary, root):
        application, self.model, self.weights = files_of_page()
        self.program = Program(binary, root, application)
        self.file = root / "payments.csv"
        self.file.write_text("card,amount,ts\n")
        self.made = root / "made"
        self.made.mkdir()
        self.rows = 0
        self.describe()

    def describe(self, **changes):
        model = json.loads(self.model)
        model.update(changes)
        (self.made / "model.json").write_text(json.dumps(model))
        (self.made / "weights.json").write_text(self.weights)

    def pay(self, count):
        before = self.program.metric("quickwater_decisions_total")
        with open(self.file, "a") as out:
            for _ in range(count):
                amount = "" if self.rows % 7 == 3 else f"{self.rows % 50 * 20}.5"
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(FIRST_S + self.rows))
                out.write(f"c{self.rows % 3},{amount},{at}\n")
                self.rows += 1
        wait_for(f"{self.rows} decisions",
                 lambda: self.program.metric("quickwater_decisions_total") >= before + count, self.program)

    def call(self, *arguments):
        return self.program.call("models", *arguments[:1], self.program.file, *arguments[1:])

    def champion(self):
        model, = json.loads(self.program.ask("/v1/models"))["models"]
        return model["champion"]

    def expected(self, inputs):
        weights = json.loads(self.weights)
        amount = weights["missing"]["amount"] if inputs["amount"] is None else inputs["amount"]
        sum_ = weights["intercept"] + weights["weights"]["amount"] * amount
        return 1 / (1 + math.exp(-(sum_ + weights["weights"]["cards.n_1h"] * inputs["cards.n_1h"])))


def brought_in(binary, root):
    payments = Payments(binary, root)
    program = payments.program
    with program:
        program.start()
        payments.pay(20)
        code, text, errors = payments.call("import", "--from", payments.made, "--swap")
        check(code == 0 and "version 1 of 'fraud'" in text, f"{code}: {text}{errors}")
        wait_for("version 1 serves", lambda: payments.champion() == "1", program)
        payments.pay(40)
        code, _, errors = payments.call("rollback")
        check(code != 0 and "nothing came before" in errors, f"{code}: {errors}")
        program.stop()
        program.start()
        check(payments.champion() == "1", "it serves after a restart")
        payments.pay(20)
        program.stop()
    code, listed, _ = payments.call("list", "--json")
    version, = json.loads(listed)
    check(version["state"] == "champion" and version["metrics"] == {"auc": 0.91}, listed)
    decisions = program.log("decisions")
    check(len(decisions) == 80, f"{len(decisions)} decisions")
    for number, one in enumerate(decisions):
        if one["score"] is None:
            check(number < 60 and one["outputs"]["severity"] is None, f"no score: {one}")
            continue
        check(number >= 20, f"scored before there was a model: {one}")
        expected = payments.expected(one["inputs"])
        check(math.isclose(one["score"], expected, rel_tol=1e-12), f"{expected} expected: {one}")
        check((one["outputs"]["severity"] == "warning") == (expected > 0.5), f"{one}")
    scored = [one["score"] for one in decisions if one["score"] is not None]
    check(len(scored) >= 60, "decisions after the swap have no score")
    code, text, errors = program.call(
        "query", "select count(*) as n, count(score) as scored, avg(score) as mean from decisions", "--json",
        "--data", program.folder / "data")
    check(code == 0, errors)
    row = json.loads(text)
    check((row["n"], row["scored"]) == (80, len(scored)), f"SQL has {row}, the log {len(scored)}")
    check(math.isclose(row["mean"], sum(scored) / len(scored), rel_tol=1e-9), f"SQL has {row}")


def refused(binary, root):
    """What cannot serve is refused before it is published, with what is wrong and how to mend it."""
    payments = Payments(binary, root)

    def refusal(*arguments):
        code, text, errors = payments.call("import", *arguments)
        check(code != 0 and not text, f"{code}: {text}")
        return errors
    check("--from FOLDER" in refusal(), "which folder")
    check("nowhere" in refusal("--from", root / "nowhere"), "which folder is not there")
    payments.describe(inputs=[{"name": "amounts", "type": "double"}, {"name": "cards.n_1h", "type": "int64"}])
    (payments.made / "weights.json").write_text(payments.weights.replace('"amount"', '"amounts"'))
    errors = refusal("--from", payments.made)
    check("'amounts'" in errors and "amount" in errors.replace("amounts", ""), errors)
    payments.describe(kind="linaer")
    check("linear" in refusal("--from", payments.made), "the nearest kind is named")
    payments.describe(kind="ensemble", settings={})
    (payments.made / "weights.json").unlink()
    check("detector" in refusal("--from", payments.made), "a detector needs `detector`")
    payments.describe(outputs=[{"name": "a", "type": "double"}, {"name": "b", "type": "double"}])
    refusal("--from", payments.made)
    code, listed, _ = payments.call("list", "--json")
    check(json.loads(listed) == [], "nothing was published")


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="qw_import_") as place:
        root = pathlib.Path(place)

        def case(function):
            def run():
                folder = root / function.__name__
                folder.mkdir()
                function(binary, folder)
            run.__name__ = function.__name__
            return run
        run_cases(case(brought_in), case(refused))


if __name__ == "__main__":
    main()
