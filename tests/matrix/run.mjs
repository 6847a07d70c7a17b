// Runs the device library's tests on one MicroPython: node run.mjs PACKAGE FOLDER…
// PACKAGE: a folder of @micropython/micropython-webassembly-pyscript.  FOLDER…: what its file system holds, and where
// `import` looks, in this order. The last line counts: "N passed, N failed".

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const [interpreter, ...folders] = process.argv.slice(2);
const { loadMicroPython } = await import(join(interpreter, "micropython.mjs"));
process.chdir(interpreter); // up to 1.22 it looks for its .wasm here
const micropython = await loadMicroPython({
    heapsize: 1 << 20,
    url: join(interpreter, "micropython.wasm"),
    linebuffer: true,
    stdout: (line) => console.log(line),
});

function copy(from, to) {
    micropython.FS.mkdir(to);
    for (const name of readdirSync(from)) {
        const source = join(from, name);
        if (statSync(source).isDirectory()) copy(source, `${to}/${name}`);
        else if (/\.(py|mpy)$/.test(name)) micropython.FS.writeFile(`${to}/${name}`, readFileSync(source));
    }
}

folders.forEach((folder, number) => copy(folder, `/${number}`));
micropython.runPython(`
import sys
for number in range(${folders.length}):
    sys.path.insert(number, "/%d" % number)
import os
os.chdir("/${folders.length - 1}")
import run
run.main([])
`);
