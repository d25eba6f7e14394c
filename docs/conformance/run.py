#!/usr/bin/env python3
"""Runs the corpus against a library behind a line protocol.

    python3 run.py comity didcomm lines

The command reads one JSON object a line on standard input and writes one a line on standard output, in the same order.
A request is {"rid", "op": "unpack", "packed", "dids", "secrets", "now"}; an answer is {"rid", "ok": true, "message",
"meta": {..}} or {"rid", "ok": false, "error", "code"}. A harness of that shape around another library is about forty
lines. Nothing but Python 3.9 and its standard library is needed.
"""

import collections
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def read(name):
    return json.loads((HERE / name).read_text())


class Library:
    """The library under test."""

    def __init__(self, command):
        self.tool = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.dids = read("dids.json")["dids"]
        self.secrets = read("secrets.json")["secrets"]
        self.asked = 0

    def unpack(self, packed, receivers, now):
        self.asked += 1
        own = [jwk for jwk in self.secrets if jwk["kid"].split("#")[0] in receivers]
        request = {"rid": self.asked, "op": "unpack", "packed": packed, "now": now}
        request.update({"dids": self.dids, "secrets": own})
        self.tool.stdin.write(json.dumps(request) + "\n")
        self.tool.stdin.flush()
        line = self.tool.stdout.readline()
        if not line:
            sys.exit(f"the command ended at request {self.asked}")
        answer = json.loads(line)
        assert answer["rid"] == self.asked, "answers come in the order of the requests"
        return answer


def essence(message):
    """What a message says, without what a reader may add or leave out."""
    names = ("id", "type", "from", "to", "created_time")
    said = {name: message.get(name) for name in names}
    return {**said, "body": message.get("body") or {}}


def meaning(answer):
    """What two envelopes that say the same have in common."""
    meta = answer.get("meta", {})
    names = ("from_kid", "sign_kid", "from_prior_kid", "authenticated", "non_repudiation")
    return essence(answer["message"]), {name: meta.get(name) for name in names}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    library = Library(sys.argv[1:])
    failed = 0

    def fail(text):
        nonlocal failed
        failed += 1
        print(text)

    accepted, goldens = read("must-accept.json"), {}
    for entry in accepted["entries"]:
        answer = library.unpack(entry["packed"], entry["receivers"], accepted["now"])
        goldens[entry["id"]] = answer
        if not answer["ok"]:
            fail(f"REFUSED {entry['id']}: {answer.get('code')} {answer.get('error')}")
            continue
        meta = answer.get("meta", {})
        same = essence(answer["message"]) == essence(entry["message"])
        same = same and meta.get("sign_kid") == entry["sign_kid"]
        # A signature proves more than the sealing key, which may be left out beside it.
        if entry["sign_kid"] is None:
            same = same and meta.get("from_kid") == entry["from_kid"]
        if not same:
            fail(f"MISREAD {entry['id']}: {answer}")

    refused, codes = read("must-refuse.json"), collections.Counter()
    opened = collections.Counter()
    for entry in refused["entries"]:
        answer = library.unpack(entry["packed"], entry["receivers"], refused["now"])
        group = entry["id"].split(":")[0]
        # A reader may take a message without protection, if it does not name a sender that nothing proves.
        if answer["ok"] and group == "bare" and not answer.get("meta", {}).get("authenticated"):
            codes["taken as unprotected"] += 1
        elif answer["ok"]:
            opened[group] += 1
            fail(f"OPENED {entry['id']}")
        else:
            codes[answer.get("code") == entry["code"]] += 1

    mutants, changed = read("mutants-sample.json"), 0
    for entry in mutants["entries"]:
        answer = library.unpack(entry["packed"], ["did:example:bob"], mutants["now"])
        known = [goldens.get(name) for name in (entry["golden"], entry["same_as"])]
        known = [meaning(golden) for golden in known if golden and golden["ok"]]
        if answer["ok"] and meaning(answer) not in known:
            changed += 1
            fail(f"CHANGED mutant {entry['number']} of {entry['golden']}: {entry['kind']}")

    print(f"{len(accepted['entries'])} honest, {len(refused['entries'])} wrong, "
          f"{len(mutants['entries'])} mutants: {failed} failed")
    print(f"opened though wrong, by group: {dict(opened)}")
    print(f"refused with our code: {codes[True]}, with another: {codes[False]}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
