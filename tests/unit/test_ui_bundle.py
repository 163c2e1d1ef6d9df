"""The modules of the inspector have the form that lets them be joined to one script, and the script does the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from awictl.ui.offline.bundle import STATIC, bundle, read_module, read_modules

MODULES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js"))


@pytest.mark.parametrize("path", MODULES)
def test_a_module_has_the_form_that_the_offline_file_relies_on(path: str) -> None:
    """Names that are imported are exported there, and nothing is imported in a circle."""
    read_modules(STATIC, path)


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.js"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_a_module_is_taken_apart(tmp_path: Path) -> None:
    write(
        tmp_path,
        pages__one=(
            '/** What it does: import {x} from "y". */\n\n// more\n'
            'import {a, b as c} from "../two.js";\nimport {$d} from "./three.js";\n\n'
            "/** Documented. */\nexport const first = c;\nexport async function second() {}\n"
            "export class Third {}\nexport function fourth() {}\nconst hidden = `\n  export const no = 1;`;\n"
        ),
    )
    module = read_module(tmp_path, "pages/one.js")
    assert module.imports == (("two.js", "a", "a"), ("two.js", "b", "c"), ("pages/three.js", "$d", "$d"))
    assert module.exports == {name: name for name in ("first", "second", "Third", "fourth")}
    assert module.body == (
        '/** What it does: import {x} from "y". */\n\n// more\n\n/** Documented. */\nconst first = c;\n'
        "async function second() {}\nclass Third {}\nfunction fourth() {}\nconst hidden = `\n  export const no = 1;`;\n"
    )


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('import x from "./two.js";\n', "another form"),
        ('import * as x from "./two.js";\n', "another form"),
        ('import "./two.js";\n', "another form"),
        ('import {\n  a,\n} from "./two.js";\n', "another form"),
        ('import {a} from "preact";\n', "another form"),
        ('const b = 1;\nimport {a} from "./two.js";\n', "not at its beginning"),
        ('import {a} from "../two.js";\n', "outside"),
        ('import {a b} from "./two.js";\n', "'a b'"),
        ("export default function a() {}\n", "another form"),
        ("export let a = 1;\n", "another form"),
        ("export const {a} = {};\n", "another form"),
        ("const a = 1;\nexport {a};\n", "another form"),
        ('export * from "./two.js";\n', "another form"),
        ('const a = () => import("./two.js");\n', "dynamic"),
        ("const a = import.meta.url;\n", "dynamic"),
        ("await 1;\n", "await"),
        ('const a = "</SCRIPT>";\n', "ends a script"),
        ('const a = "<!--";\n', "ends a script"),
        ("const $module1 = 1;\n", "that the bundle uses"),
        ('import {missing} from "./two.js";\n', "imports missing, which two.js does not export"),
        ('import {c} from "./three.js";\nexport const one = c;\n', "import each other: "),
    ],
)
def test_another_form_is_an_error(text: str, fragment: str, tmp_path: Path) -> None:
    write(tmp_path, one=text, two="export const a = 1;\n")
    write(tmp_path, three='import {one} from "./one.js";\nexport const c = () => one;\n')
    with pytest.raises(ValueError, match=fragment):
        bundle(tmp_path, "one.js")


@pytest.mark.skipif(
    shutil.which("node") is None, reason="there is no node; tests/browser runs the real bundle in Chromium"
)
def test_the_bundle_does_what_the_modules_do(tmp_path: Path) -> None:
    write(
        tmp_path,
        main=(
            'import {double as twice, calls} from "./numbers.js";\nimport {h} from "./vendor/lib.js";\n'
            'import {Shape} from "./pages/shape.js";\nconst e = 1;\n'
            "console.log(JSON.stringify([twice(4), h(e), new Shape(2).area(), calls.count, typeof a]));\n"
        ),
        numbers="export const calls = {count: 0};\nexport function double(n) {\n  calls.count++;\n  return 2 * n;\n}\n",
        pages__shape=(
            'import {double} from "../numbers.js";\nimport {h as hash} from "../vendor/lib.js";\n'
            "export class Shape {\n  constructor(n) { this.n = n; }\n  area() { return hash(double(this.n)); }\n}\n"
        ),
        vendor__lib='/* a licence */\nvar e="!--";function a(n){return e+n}export{a as h,e as mark};\n',
    )
    text = bundle(tmp_path, "main.js")
    assert "import" not in text and "export" not in text and text == bundle(tmp_path, "main.js")
    (tmp_path / "bundle.mjs").write_text(text)
    done = subprocess.run(["node", tmp_path / "bundle.mjs"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('[8,"!--1","!--4",2,"undefined"]\n', "")
