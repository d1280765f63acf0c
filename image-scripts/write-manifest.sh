#!/usr/bin/env bash
# Purpose: the manifest in the image of a cloud; on this machine the bake itself writes it.
# Inputs:  GOLDBAKE_FILES with manifest.json: what was known before the bake.
# Effect:  /usr/share/goldbake/manifest.json, with the kernels and packages that are installed.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_FILES '/.+'
[[ -f $GOLDBAKE_FILES/manifest.json ]] || fail "there is no manifest.json to complete" "a bake uploads it"

install -d -m 755 /usr/share/goldbake
python3 - "$GOLDBAKE_FILES/manifest.json" /usr/share/goldbake/manifest.json <<'EOF'
import json
import pathlib
import subprocess
import sys

given, written = map(pathlib.Path, sys.argv[1:])
listing = subprocess.run(
    ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n"], check=True, capture_output=True, text=True
).stdout
rows = [line.split("\t") for line in listing.splitlines()]
document = json.loads(given.read_text())
document["kernels"] = sorted(path.name.removeprefix("vmlinuz-") for path in pathlib.Path("/boot").glob("vmlinuz-*"))
document["packages"] = {row[1]: row[2] for row in rows if row[0].startswith(("ii", "hi"))}
written.write_text(json.dumps(document, indent=2) + "\n")
EOF
chmod 644 /usr/share/goldbake/manifest.json
say "$(wc -c </usr/share/goldbake/manifest.json) bytes of manifest"
