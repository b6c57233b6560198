#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Lays library and driver into a source tree of DPDK, 22.11 or later, as one of its own mempool
# drivers, or takes them out again. Of DPDK's own files, four are changed, by a line or a paragraph.

set -euo pipefail

ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
LIB=lib/magazine
DRIVER=drivers/mempool/magazine
GUIDE=doc/guides/mempool
OLDEST=22.11

usage() {
	cat <<-END
	usage: tools/dpdk-tree.sh [--remove] DIR

	Lays the magazine library (lib/magazine, librte_magazine) and mempool driver
	(drivers/mempool/magazine) into DIR, a source tree of DPDK $OLDEST or later, so that 'meson
	setup' there builds them with the rest, static and shared, with a page in the guides and an
	entry in MAINTAINERS. Run it again after an update: files that it laid there are replaced.
	Configure DIR's build folders again afterwards:

	  tools/dpdk-tree.sh ~/dpdk
	  cd ~/dpdk && meson setup build && ninja -C build
	  build/app/dpdk-testpmd --mbuf-pool-ops-name=magazine ...

	  --remove   take all of it out again
	END
}

die() {
	printf 'dpdk-tree.sh: %s\n' "$*" >&2
	exit 2
}

# insert FILE AFTER LINE: LINE behind the first line that is AFTER, unless FILE has LINE.
insert() {
	local file=$1 after=$2 line=$3

	! grep -qxF -- "$line" "$file" || return 0
	grep -qxF -- "$after" "$file" ||
		die "$file has no line '$after': not a tree of DPDK that is known here"
	awk -v after="$after" -v line="$line" \
		'{ print } $0 == after && !done { print line; done = 1 }' "$file" >"$file.new"
	mv "$file.new" "$file"
}

# take_out FILE LINE
take_out() {
	grep -vxF -- "$2" "$1" >"$1.new" || true
	cat "$1.new" >"$1"
	rm "$1.new"
}

# names NODE FILE: what FILE, a version script of ours, exports in NODE.
names() {
	sed -n "/^$1 {/,/^}/s/^\t\(\w*\);.*/\1/p" "$2"
}

# exports OURS FOLDER: the version script, or the macros that one is made of since DPDK 25.07.
exports() {
	local ours=$1 folder=$2

	if [ -f "$DIR/buildtools/gen-version-map.py" ]; then
		{
			printf '/* SPDX-License-Identifier: BSD-3-Clause */\n\n'
			printf '#include <eal_export.h>\n\n'
			names 'MAGAZINE_[0-9]*' "$ours" | sed 's/.*/RTE_EXPORT_SYMBOL(&)/'
			names INTERNAL "$ours" | sed 's/.*/RTE_EXPORT_INTERNAL_SYMBOL(&)/'
		} >"$folder/exports.c"
		return
	fi
	{
		printf 'DPDK_%s {\n\tglobal:\n\n' "$(cut -d . -f 1 "$DIR/ABI_VERSION")"
		names 'MAGAZINE_[0-9]*' "$ours" | sed 's/.*/\t&;/'
		printf '\n\tlocal: *;\n};\n'
		if [ -n "$(names INTERNAL "$ours")" ]; then
			printf '\nINTERNAL {\n\tglobal:\n\n'
			names INTERNAL "$ours" | sed 's/.*/\t&;/'
			printf '};\n'
		fi
	} >"$folder/version.map"
}

# listed FOLDER PATTERN: quoted names of the files, a line each, as meson's files() wants them.
listed() {
	(cd "$1" && find . -name "$2" | sed "s|^\./|        '|; s|\$|',|" | LC_ALL=C sort)
}

build_files() {
	cat >"$DIR/$LIB/meson.build" <<-END
	# SPDX-License-Identifier: BSD-3-Clause

	sources = files(
	$(listed "$DIR/$LIB" '*.c')
	)
	headers = files(
	$(listed "$DIR/$LIB" 'mag_*.h')
	)

	# Includes name the folder of a header; the folder of this file is on the path.
	if dpdk_conf.has('RTE_EAL_NUMA_AWARE_HUGEPAGES')
	    cflags += '-DMAG_LIBNUMA'
	endif
	deps += ['mempool', 'telemetry', 'kvargs']
	END
	cat >"$DIR/$DRIVER/meson.build" <<-END
	# SPDX-License-Identifier: BSD-3-Clause

	sources = files(
	$(listed "$DIR/$DRIVER" '*.c')
	)
	headers = files('rte_mempool_magazine.h', 'rte_mempool_magazine_inline.h')

	cflags += '-ftls-model=initial-exec'
	deps += ['magazine', 'bus_vdev']
	require_iova_in_mbuf = false
	END
}

lay() {
	local name

	remove
	mkdir -p "$DIR/$LIB" "$DIR/$DRIVER"
	(cd "$ROOT/$LIB" && find . -name '*.[ch]' -exec cp --parents -t "$DIR/$LIB" {} +)
	cp "$ROOT/$DRIVER"/*.[ch] "$DIR/$DRIVER"
	exports "$ROOT/$LIB/version.map" "$DIR/$LIB"
	exports "$ROOT/$DRIVER/version.map" "$DIR/$DRIVER"
	build_files
	insert "$DIR/lib/meson.build" "        'mempool'," "        'magazine', # on mempool"
	insert "$DIR/drivers/mempool/meson.build" "        'dpaa2'," "        'magazine',"
	cp "$ROOT/doc/guide/magazine.rst" "$DIR/$GUIDE/"
	name=$(grep -xm 1 ' *cnxk' "$DIR/$GUIDE/index.rst") ||
		die "$DIR/$GUIDE/index.rst has no line 'cnxk'"
	insert "$DIR/$GUIDE/index.rst" "$name" "${name%cnxk}magazine"
	cat >>"$DIR/MAINTAINERS" <<-END

	Magazine mempool driver
	F: $LIB/
	F: $DRIVER/
	F: $GUIDE/magazine.rst
	END
	echo "dpdk-tree.sh: laid $LIB and $DRIVER into $DIR, DPDK $(cat "$DIR/VERSION")"
}

remove() {
	rm -rf "${DIR:?}/$LIB" "${DIR:?}/$DRIVER" "${DIR:?}/$GUIDE/magazine.rst"
	take_out "$DIR/lib/meson.build" "        'magazine', # on mempool"
	take_out "$DIR/drivers/mempool/meson.build" "        'magazine',"
	sed -i '/^ *magazine$/d' "$DIR/$GUIDE/index.rst"
	sed -i -e ':a' -e 'N' -e '$!ba' -e 's|\n\nMagazine mempool driver\(\nF: [^\n]*\)*||' \
		"$DIR/MAINTAINERS"
}

main() {
	local what=lay version

	DIR=
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--remove) what=remove ;;
		-*) die "option $1: not known, see --help" ;;
		*)
			[ -z "$DIR" ] || die "one folder, not two: $DIR and $1"
			DIR=$1
			;;
		esac
		shift
	done
	[ -n "$DIR" ] || die "which folder? See --help"
	if [ ! -f "$DIR/VERSION" ] || [ ! -f "$DIR/lib/mempool/rte_mempool.h" ]; then
		die "$DIR: no source tree of DPDK, which has VERSION and lib/mempool/rte_mempool.h"
	fi
	version=$(cut -d - -f 1 "$DIR/VERSION")
	[ "$(printf '%s\n' "$OLDEST" "$version" | sort -V | head -n 1)" = "$OLDEST" ] ||
		die "$DIR: DPDK $version, and $OLDEST is the oldest that will do"
	DIR=$(CDPATH='' cd -- "$DIR" && pwd)
	$what
}

main "$@"
