#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Each file compiles by itself, without a warning, and includes the headers that it needs.

That is with the installed DPDK, with those whose libdpdk-dev is unpacked in the folders that
MAGAZINE_HEADERS names (split by colons; each has usr/include), and with MAGAZINE_FULL=1 with
Debian's others, which are downloaded once into build-headers by an apt of its own. Which header has
a name is read from DPDK's headers.
"""

import collections
import concurrent.futures
import functools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST / "dataplane"), str(TEST.parent / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

ROOT = TEST.parent
HERE = ROOT / "build-headers"
LIBRARY = ROOT / "lib/magazine"
DRIVER = ROOT / "drivers/mempool/magazine"
PUBLIC = (
    "mag_cache.h",
    "mag_compiler.h",
    "mag_inline.h",
    "mag_maint.h",
    "mag_memtag.h",
    "mag_mirror.h",
    "mag_region.h",
    "mag_stats.h",
    "rte_mempool_magazine.h",
    "rte_mempool_magazine_inline.h",
)
PROGRAMS = (ROOT / "app/bench", ROOT / "app/flowcache")
FOLDERS = (LIBRARY, DRIVER, TEST / "unit")  # where "..." is looked for

DEBIAN = {"bookworm": "22.11", "trixie": "24.11", "sid": "25.11"}
PACKAGES = ("libdpdk-dev", "libcmocka-dev")
APT_SECONDS = 240

C = ["-std=gnu11", "-D_GNU_SOURCE", "-DALLOW_EXPERIMENTAL_API", "-DALLOW_INTERNAL_API"]
PUBLIC_C = ["-std=gnu11"]
PUBLIC_CXX = ["-std=c++17"]
CODE = ("-S", "-o", os.devnull)
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
# Of the library, the driver and the programs; tests do without these.
STRICT = ["-Wpedantic", "-Wconversion", "-Wcast-qual", "-Wshadow"]
C_WARNINGS = [
    "-Wmissing-prototypes",
    "-Wstrict-prototypes",
    "-Wold-style-definition",
    "-Wwrite-strings",
]

# Names that a later version has in another header than 22.11, which includes that one everywhere.
MOVED = {
    "rte_bitops.h": r"RTE_IS_POWER_OF_2|rte_(?:is_power_of_2|align(?:32|64)(?:prev)?pow2|"
    r"bsf(?:32|64)(?:_safe)?|combine(?:32|64)ms1b|fls_u(?:32|64)|log2_u(?:32|64))"
}
# Each of these has what is in those whose name begins with its own.
WHOLE = ("rte_mbuf", "rte_ring", "rte_ip", "rte_ethdev")
FORCED = {"rte_config.h", "rte_build_config.h"}

# Names of the C library: functions by a call, others anywhere.
CALLS = {
    "assert.h": r"static_assert|assert",
    "execinfo.h": r"backtrace(?:_symbols(?:_fd)?)?",
    "sched.h": r"sched_(?:yield|getcpu|[gs]etaffinity)",
    "stdarg.h": r"va_(?:start|end)",
    "stdio.h": r"v?(?:f|s|sn)?printf|f(?:open|close|gets|flush)|perror",
    "stdlib.h": r"malloc|calloc|realloc|free|abort|exit|[gs]etenv|strtou?ll?|aligned_alloc|qsort|"
    r"abs",
    "string.h": r"mem(?:cpy|set|cmp|move|chr)|str(?:n?cmp|n?dup|len|n?cpy|r?chr|str|error|tok_r|"
    r"spn|cspn)",
    "sys/mman.h": r"m(?:map|unmap|advise|protect)",
    "unistd.h": r"getp?pid|usleep|sysconf|syscall|fork|unlink|readlink|_exit",
}
NAMES = {
    "errno.h": r"errno|E(?:AGAIN|BUSY|DEADLK|EXIST|FAULT|INTR|INVAL|NOBUFS|NOENT|NOMEM|NOSPC|NOSYS|"
    r"NOTSUP|PERM|RANGE)",
    "inttypes.h": r"PRI[dux](?:8|16|32|64|PTR)",
    "limits.h": r"(?:U?INT|U?LONG|U?CHAR|PATH)_MAX",
    "pthread.h": r"pthread_\w+",
    "signal.h": r"SIG(?:ALRM|CHLD|INT|KILL|SEGV|STOP|TERM|USR1|USR2)",
    "stdatomic.h": r"memory_order_\w+|atomic_(?:load|store|exchange|fetch|compare|thread|signal|"
    r"init)\w*",
    "stdbool.h": r"bool|true|false",
    "stdint.h": r"u?int(?:8|16|32|64|ptr|max)_t|U?INT(?:8|16|32|64)_(?:C|MAX|MIN)|UINTPTR_MAX",
    "stdio.h": r"stderr|stdout",
    "sys/mman.h": r"(?:PROT|MAP|MADV)_[A-Z]+",
    "sys/queue.h": r"(?:LIST|STAILQ|TAILQ|SLIST)_\w+",
    "sys/syscall.h": r"SYS_\w+",
}
GIVES = {"inttypes.h": {"stdint.h"}}  # the standard says so


class Headers:
    """Those of one DPDK."""

    def __init__(self, origin, folders, flags):
        self.folders = folders
        # Warnings there are DPDK's.
        self.flags = [flag for folder in folders for flag in ("-isystem", folder)] + flags
        config = next(
            (f / "rte_build_config.h" for f in folders if (f / "rte_build_config.h").exists()), None
        )
        tap.check(config, f"{origin}: has no rte_build_config.h; unpack Debian's libdpdk-dev there")
        year, month = (
            re.search(rf"define RTE_VER_{what} (\d+)", config.read_text())[1]
            for what in ("YEAR", "MONTH")
        )
        self.version = f"{year}.{month:0>2}"
        self.name = f"DPDK {self.version} {origin}"

    @functools.cached_property
    def places(self):
        """Of each name that DPDK defines or declares: the headers that do."""
        places = collections.defaultdict(set)
        for folder in self.folders:
            for header in folder.rglob("rte_*.h"):
                for name in defined(without_comments(header.read_text(errors="replace"))):
                    places[name].add(header.name)
        return places


def installed():
    text = subprocess.run(
        ["pkg-config", "--cflags", "libdpdk"], check=True, capture_output=True, text=True
    ).stdout
    flags = shlex.split(text)
    folders = [pathlib.Path(flag[2:]) for flag in flags if flag.startswith("-I")]
    return Headers(
        "installed",
        [f for f in folders if list(f.glob("rte_*.h"))],
        [flag for flag in flags if flag.startswith("-m")] + ["-include", "rte_config.h"],
    )


def unpacked(root):
    """As its libdpdk.pc says, with the folders below root."""
    root = pathlib.Path(root)
    flags = [
        flag
        for file in root.glob("usr/lib/*/pkgconfig/libdpdk-libs.pc")
        for flag in re.findall(r"(?<= )-m\S+", re.search(r"(?m)^Cflags:.*", file.read_text())[0])
    ]
    folders = [*root.glob("usr/include/*/dpdk"), root / "usr/include/dpdk"]
    headers = Headers(f"in {root}", folders, [*flags, "-include", "rte_config.h"])
    headers.flags += ["-isystem", root / "usr/include"]
    return headers


# Downloads


def apt(folder, *arguments):
    seconds = patience.scaled(APT_SECONDS)
    try:
        done = subprocess.run(
            ["apt-get", "-q", "-y", *arguments],
            cwd=folder,
            env=dict(os.environ, APT_CONFIG=folder / "conf"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise tap.Skip(f"apt-get {arguments[0]}: not done in {seconds:.0f} s") from None
    if done.returncode != 0:
        raise tap.Skip(
            f"apt-get {arguments[0]}: " + (done.stdout.strip().splitlines() or ["says nothing"])[-1]
        )


def mirror():
    """The machine's own mirror of Debian."""
    for file in (
        "/etc/apt/sources.list",
        *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*")),
    ):
        if os.path.exists(file):
            found = re.search(
                r"(?m)^(?:deb|URIs:) .*?(https?://\S+/debian)/?(?:\s|$)",
                pathlib.Path(file).read_text(),
            )
            if found:
                return found[1]
    return "http://deb.debian.org/debian"


def download(suite):
    """The folder with the headers of that suite of Debian."""
    root = HERE / suite
    if root.is_dir():
        return root
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise tap.Skip("no apt-get here to download them with")
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="download-", dir=HERE) as folder:
        folder = pathlib.Path(folder)
        for name in ("state/lists/partial", "cache/archives/partial", "root"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(
            f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror()} {suite} "
            "main\n"
        )
        (folder / "conf").write_text(
            f'Dir::State "{folder}/state";\nDir::State::status "{folder}/status";\n'
            f'Dir::Cache "{folder}/cache";\nDir::Etc::sourcelist "{folder}/sources.list";\n'
            'Dir::Etc::sourceparts "-";\nAPT::Sandbox::User "root";\n'
            'Acquire::Retries "1";\nAcquire::http::Timeout "20";\n'
        )
        apt(folder, "update")
        apt(folder, "download", *PACKAGES)
        for package in folder.glob("*.deb"):
            subprocess.run(
                ["dpkg-deb", "-x", package, folder / "root"],
                check=True,
                timeout=patience.scaled(APT_SECONDS),
            )
        (folder / "root").rename(root)
    return root


# What a header defines, and what a file uses


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.sub(r"//.*", "", text)


DEFINED = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^[ \t]*#[ \t]*define[ \t]+(\w+)",
        r"^(?:[^\n#()=;{}]*[\s*])?(rte_\w+)\s*\(",  # functions begin a line
        r"^(?:typedef )?(?:struct|union|enum)\s+(?:\w+\([^)]*\)\s+|__rte\w+\s+)*(rte_\w+)\s*\{",
        r"^\}.*?\b(rte_\w+);",
        r"^typedef [^;{]*?\b\(?\*?(rte_\w+)\)?(?:\(|;|\[)",
        r"^extern [^;]*?\b(rte_\w+)(?:\[\w*\])?;",
        r"^[ \t]+(RTE_[A-Z0-9_]+)\s*(?:=[^,\n]*)?,?\s*$",
    )
]


def defined(text):
    return {found[1] for pattern in DEFINED for found in pattern.finditer(text)}


@functools.cache
def read(path):
    return path.read_text()


def words(text):
    """The words of the code, without comments, texts, includes, members; whether it is called."""
    text = without_comments(
        re.sub(r'"(?:\\.|[^"\\\n])*"', '""', re.sub(r"(?m)^#include.*", "", text))
    )
    return set(re.findall(r"(?<![\w.])(?<!->)([A-Za-z_]\w*)(\s*\()?", text))


@functools.cache
def includes(path):
    """The headers in <> that the file includes, itself or by headers of ours."""
    seen, todo, found = {path}, [path], set()
    while todo:
        file = todo.pop()
        for kind, name in re.findall(r'(?m)^#include ([<"])([^>"]+)', read(file)):
            if kind == "<":
                found |= {pathlib.Path(name).name if name.startswith("rte_") else name} | GIVES.get(
                    name, set()
                )
                continue
            ours = next((f / name for f in (file.parent, *FOLDERS) if (f / name).exists()), None)
            if ours and ours.resolve() not in seen:
                seen.add(ours.resolve())
                todo.append(ours.resolve())
    return found


def lacks(path, places):
    """Of each header that is used and not included: the names."""
    have = includes(path)
    missing = collections.defaultdict(set)
    for word, call in words(read(path)):
        tables = (MOVED, NAMES, CALLS) if call else (MOVED, NAMES)
        wanted = {
            header
            for table in tables
            for header, names in table.items()
            if re.fullmatch(names, word)
        }
        if not wanted and re.match(r"_*rte_", word, re.IGNORECASE):
            wanted = places.get(word, set())
        whole = {f"{name}.h" for name in WHOLE if any(header.startswith(name) for header in wanted)}
        if wanted and not (wanted | whole) & (have | FORCED):
            missing[" or ".join(sorted(wanted | whole))].add(word)
    return [
        f"{path.relative_to(ROOT)}: uses {', '.join(sorted(names))} and does not include {header}"
        for header, names in sorted(missing.items())
    ]


# Cases


def require_none(problems):
    tap.check(not problems, "\n".join(problems))


def sources(*folders, ends=(".c",)):
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in ends)


def folders(path):
    """Of our headers. A user has <mag_cache.h>, and <numa.h> remains libnuma's."""
    if re.search(r"(?m)^#include <mag_", read(path)):
        return ["-idirafter", LIBRARY]
    return [f"-iquote{folder}" for folder in FOLDERS]


def compile_all(headers, files, flags, compiler="gcc", language="c", to=("-fsyntax-only",)):
    """The first errors of each file that does not compile."""

    def run(path):
        done = subprocess.run(
            [
                compiler,
                "-x",
                language,
                *to,
                *flags,
                *WARNINGS,
                *headers.flags,
                *folders(path),
                path,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        errors = [
            line
            for line in done.stdout.splitlines()
            if ": error: " in line or ": fatal error: " in line
        ]
        return (
            "\n".join(errors[:3] or [f"{path}: status {done.returncode}"])
            if done.returncode
            else ""
        )

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [text.replace(f"{ROOT}/", "") for text in pool.map(run, files) if text]


def test_versions(headers):
    ours = sources(LIBRARY, DRIVER)
    headers_of_ours = sources(LIBRARY, DRIVER, ends=(".h",))
    public = [path for path in headers_of_ours if path.name in PUBLIC]
    with tap.case(f"{headers.name}: each file and header of library and driver compiles by itself"):
        require_none(compile_all(headers, ours + headers_of_ours, C + C_WARNINGS + STRICT))
        if shutil.which("clang"):
            require_none(compile_all(headers, ours, C + C_WARNINGS + STRICT, "clang"))
    with tap.case(f"{headers.name}: each public header compiles by itself in C and in C++"):
        require_none(compile_all(headers, public, PUBLIC_C + STRICT))
        require_none(compile_all(headers, public, PUBLIC_CXX + STRICT, "g++", "c++"))
    with tap.case(f"{headers.name}: each file includes the headers of what it uses"):
        files = sources(LIBRARY, DRIVER, ROOT / "app", TEST, ends=(".c", ".h"))
        require_none([line for path in files for line in lacks(path, headers.places)])


def test_optimized(headers):
    """Some warnings are of the optimizer, and need code to be made."""
    flags = C + C_WARNINGS + STRICT
    files = sources(LIBRARY, DRIVER, *PROGRAMS)
    for level in ("-O0", "-O3"):
        with tap.case(f"{headers.name}: library, driver and programs compile at {level}"):
            if os.environ.get("MAGAZINE_FULL") != "1":
                raise tap.Skip("with --full only: syntax is checked above, and the build is at -O3")
            for compiler in filter(shutil.which, ("gcc", "clang")):
                require_none(compile_all(headers, files, flags, compiler, to=CODE + (level,)))


def test_programs(headers):
    """The installed DPDK's are built anyway."""
    with tap.case(f"{headers.name}: each file of tests and applications compiles by itself"):
        require_none(compile_all(headers, sources(ROOT / "app", TEST), C + C_WARNINGS))


def test_other(what, folder):
    headers = None
    with tap.case(f"headers of {what}"):
        headers = unpacked(folder())
    if headers:
        test_versions(headers)
        test_programs(headers)


def wanted_download(suite):
    if os.environ.get("MAGAZINE_FULL") != "1":
        raise tap.Skip("downloaded with --full only, or name a folder in MAGAZINE_HEADERS")
    return download(suite)


def main():
    here = installed()
    test_versions(here)
    with tap.case(f"{here.name}: each file of the programs compiles by itself"):
        for compiler in filter(shutil.which, ("gcc", "clang")):
            require_none(compile_all(here, sources(*PROGRAMS), C + C_WARNINGS + STRICT, compiler))
    test_optimized(here)
    for root in filter(None, os.environ.get("MAGAZINE_HEADERS", "").split(":")):
        test_other(f"the folder {root}", lambda: root)
    for suite, version in DEBIAN.items():
        if version != here.version:
            test_other(f"DPDK {version} from Debian's {suite}", lambda: wanted_download(suite))
    tap.finish()


if __name__ == "__main__":
    main()
