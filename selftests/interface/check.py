#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
#
# check.py - whether what is documented of the module's interface is what its code has; TAP
#
# Netlink: Documentation/netlink/tricolor.yaml against the kernel's schema for such files
# (genetlink.yaml, the kernel's own, of Linux 7.3), and against the numbers in the header and the
# tables in netlink.c. Sysfs: Documentation/ABI/testing/sysfs-class-tricolor against the attributes
# in sysfs.c and the parameters in quota.c.  In both directions: what is missing and what is too
# much.  That each check notices what it is for is tried with changed copies.

import os
import re
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ABI = "Documentation/ABI/testing/sysfs-class-tricolor"
SPEC = "Documentation/netlink/tricolor.yaml"
ABI_FIELDS = ["What", "Date", "KernelVersion", "Contact", "Users", "Description"]


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def differ(what, documented, coded):
    """Problems: names of either side that the other one lacks; and another order, if none is."""
    problems = [f"{what} {n}: not documented" for n in coded if n not in documented]
    problems += [f"{what} {n}: documented, but not there" for n in documented if n not in coded]
    if not problems and list(documented) != list(coded):
        problems.append(f"{what}: documented in another order")
    return problems


# --- sysfs --------------------------------------------------------------------------------------


def abi_entries(text):
    """(what, description) of each entry, and what is wrong with its form."""
    entries, problems = [], []
    for block in re.split(r"\n(?=What:)", text):
        fields = re.findall(r"^(\w+):", block, re.M)
        what = re.match(r"What:\s+(\S+)", block)
        if fields != ABI_FIELDS or not what:
            problems.append(f"an entry has the fields {fields}: {block[:60]!r}")
            continue
        entries.append((what.group(1), block.split("Description:", 1)[1]))
    return entries, problems


def coded_files(sysfs, user):
    """(path, mode) of each attribute in the order of the table, and of each parameter."""
    table = re.search(r"arena_attrs\[\] = \{(.*?)\}", sysfs, re.S).group(1)
    for name in re.findall(r"&dev_attr_(\w+)\.attr", table):
        made = re.search(rf"DEVICE_ATTR_ADMIN_(R[OW])\({name}\)", sysfs)
        # Those that a macro of the file makes can only be read.
        mode = "0600" if made and made.group(1) == "RW" else "0400"
        yield f"/sys/class/tricolor/arenaN/{name}", mode
    for name, mode in re.findall(r"module_param_named\((\w+), \w+, \w+, (\d+)\)", user):
        yield f"/sys/module/tricolor/parameters/{name}", mode


def check_abi(abi, sysfs, user):
    entries, problems = abi_entries(abi)
    coded = dict(coded_files(sysfs, user))
    described = dict(entries)
    # The folder itself is no file.
    described.pop("/sys/class/tricolor/arenaN", None)
    problems += differ("file", described, coded)
    if len(described) + 1 != len(entries):
        problems.append("something is described twice, or the folder is not")
    for path, mode in coded.items():
        if not described.get(path, f"({mode})").strip().startswith(f"({mode})"):
            problems.append(f"{path}: its mode is {mode}, and the description does not begin with that")
    return problems


# --- netlink ------------------------------------------------------------------------------------


def check_schema(spec, schema):
    import jsonschema

    return [f"{'/'.join(map(str, e.path)) or 'the file'}: {e.message}"
            for e in jsonschema.Draft7Validator(schema).iter_errors(spec)]


def enum_of(header, prefix):
    """Names and numbers of an enum of the header, in order, without those that count."""
    numbered, number = [], -1
    for name, value in re.findall(rf"\b{prefix}(\w+)(?: = (\d+))?", re.sub(r"/\*.*?\*/", "", header, flags=re.S)):
        number = int(value) if value else number + 1
        if name != "MAX":
            numbered.append(f"{name} = {number}")
    return numbered


def numbered(table):
    """The same of a list of the specification."""
    number = -1
    for entry in table:
        number = entry.get("value", number + 1)
        yield f"{upper([entry['name']])[0]} = {number}"


def upper(names):
    return [n.upper().replace("-", "_") for n in names]


def named(table, name):
    return next(t for t in table if t["name"] == name)


def check_numbers(spec, header):
    attributes = spec["attribute-sets"][0]["attributes"]
    operations = spec["operations"]["list"]
    enums = re.findall(r"enum \{(.*?)\};", header, re.S)
    problems = differ("attribute", list(numbered(attributes)), enum_of(enums[0], "TRICOLOR_A_ARENA_"))
    problems += differ("command", list(numbered(operations)), enum_of(enums[1], "TRICOLOR_CMD_"))
    for define, value in (("FAMILY_NAME", f'"{spec["name"]}"'), ("FAMILY_VERSION", "1"),
                          ("MCGRP_EVENTS", f'"{spec["mcast-groups"]["list"][0]["name"]}"')):
        if not re.search(rf"#define TRICOLOR_{define}\s+{value}$", header, re.M):
            problems.append(f"TRICOLOR_{define} is not {value}")
    return problems


def check_tables(spec, code):
    operations = spec["operations"]["list"]
    problems = []
    for name, policy in (("arena-get", "get_policy"), ("arena-set", "set_policy")):
        body = re.search(rf"{policy}\[[^\]]*\] = \{{(.*?)^\}};", code, re.S | re.M).group(1)
        problems += differ(f"{name}: attribute of the request",
                           upper(named(operations, name)["do"]["request"]["attributes"]),
                           re.findall(r"\[TRICOLOR_A_ARENA_(\w+)\]", body))
    put = re.search(r"^static int put_arena\(.*?^\}", code, re.S | re.M).group(0)
    reply = [n for n in re.findall(r"(?:skb|buf), TRICOLOR_A_ARENA_(\w+)", put)]
    problems += differ("arena-get: attribute of the answer",
                       upper(named(operations, "arena-get")["do"]["reply"]["attributes"]), reply)
    return problems


# ------------------------------------------------------------------------------------------------


class Tap:
    def __init__(self):
        self.points = self.failures = 0

    def point(self, name, problems):
        self.points += 1
        self.failures += bool(problems)
        for p in problems:
            print(f"# {p}")
        print(f"{'not ok' if problems else 'ok'} {self.points} {name}")

    def skip(self, name, why):
        self.points += 1
        print(f"ok {self.points} {name} # SKIP {why}")

    def noticed(self, name, problems):
        self.point(f"{name}: noticed", [] if problems else ["it was not"])


def drop(text, pattern, to=""):
    """A changed copy; the pattern must be there."""
    changed, n = re.subn(pattern, to, text, count=1, flags=re.S | re.M)
    assert n == 1, pattern
    return changed


def main():
    tap = Tap()
    print("TAP version 13")
    abi, sysfs, user = read(ABI), read("kmod/sysfs.c"), read("kmod/quota.c")
    tap.point("sysfs: ABI file and code", check_abi(abi, sysfs, user))
    tap.noticed("an attribute that is not described",
                check_abi(drop(abi, r"^What:\s+\S+/goal_bytes\n.*?(?=^What:)"), sysfs, user))
    tap.noticed("a description of what is gone", check_abi(abi, drop(sysfs, r"\t&dev_attr_cycles\.attr,\n"), user))
    tap.noticed("a parameter that is not described",
                check_abi(drop(abi, r"^What:\s+\S+/max_user_bytes\n.*?(?=^What:)"), sysfs, user))
    tap.noticed("another mode", check_abi(abi, drop(sysfs, r"ADMIN_RW\(gc_percent\)", "ADMIN_RO(gc_percent)"), user))
    tap.noticed("an entry without a date", check_abi(drop(abi, r"^Date:[^\n]*\n"), sysfs, user))

    try:
        import yaml
    except ImportError:
        tap.skip("netlink: specification", "no python3-yaml")
        print(f"1..{tap.points}")
        return tap.failures
    spec, header, code = yaml.safe_load(read(SPEC)), read("kmod/uapi/linux/tricolor_netlink.h"), read("kmod/netlink.c")
    tap.point("netlink: specification and header", check_numbers(spec, header))
    tap.point("netlink: specification and code", check_tables(spec, code))
    tap.noticed("an attribute that the specification lacks",
                check_numbers(spec, drop(header, r"\t__TRICOLOR_A_ARENA_MAX", "\tTRICOLOR_A_ARENA_NEW,\n")))
    tap.noticed("another number", check_numbers(spec, drop(header, r" = 12,", ",")))
    tap.noticed("a command that is gone", check_numbers(spec, drop(header, r"\tTRICOLOR_CMD_TUNABLES,\n")))
    tap.noticed("an answer with less in it",
                check_tables(spec, drop(code, r"skb, TRICOLOR_A_ARENA_COLLECTORS", "skb, 0")))
    tap.noticed("a request with less in it",
                check_tables(spec, drop(code, r"\t\[TRICOLOR_A_ARENA_GC_PERCENT\][^\n]*\n")))
    try:
        # The loader knows version 1.1 of YAML, and the file needs no more.
        schema = yaml.safe_load(read("selftests/interface/genetlink.yaml").replace("%YAML 1.2", "%YAML 1.1"))
        tap.point("netlink: the kernel's schema", check_schema(spec, schema))
        tap.noticed("an unknown word in the specification", check_schema(dict(spec, colour="green"), schema))
    except ImportError:
        tap.skip("netlink: the kernel's schema", "no python3-jsonschema")
    print(f"1..{tap.points}")
    return tap.failures


sys.exit(1 if main() else 0)
