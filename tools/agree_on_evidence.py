"""Holds `verify_evidence.py` against what `cases.json` of each folder says that its files are.

Usage: agree_on_evidence.py FOLDER...
Exit code 0: it found the same in all of them; 1: not in all.
"""

import json
import pathlib
import sys

from verify_evidence import main as verify


def exit_code(folder, case):
    arguments = [str(folder / case["file"]), "--json"]
    if case["policy"]:
        arguments += ["--policy", str(folder / case["policy"])]
    for document in case["documents"]:
        arguments += ["--document", str(folder / document)]
    return verify(arguments, out=open("/dev/null", "w"))


def main():
    count = differ = 0
    for folder in map(pathlib.Path, sys.argv[1:]):
        for case in json.loads((folder / "cases.json").read_text()):
            found = exit_code(folder, case)
            count += 1
            if found != case["exit"]:
                differ += 1
                print(f"{folder.name}/{case['name']}: {found} instead of {case['exit']}")
    print(f"{count} bundles, {differ} judged differently")
    return 1 if differ or not count else 0


if __name__ == "__main__":
    sys.exit(main())
