#!/usr/bin/env bash
# Purpose: a key pair of this bake alone, with which DKMS signs the modules that it builds, so that they load under Secure Boot.
# Inputs:  GOLDBAKE_IMAGE.
# Effect:  the private key in memory, where DKMS looks for it a link to it; the certificate is /usr/share/goldbake/secure-boot.der.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_IMAGE '[a-z][a-z0-9-]+'

certificate=/usr/share/goldbake/secure-boot.der
private=/run/goldbake-signing/key # /run is memory: the key is never on the disk that becomes the image
if [[ ! -f $private || ! -f $certificate ]]; then
    command -v openssl >/dev/null || apt_install openssl
    install -d -m 700 "$(dirname "$private")"
    install -d -m 755 "$(dirname "$certificate")"
    # Firmware and kernel look at the key only, not at its dates; whoever reads the certificate sees which image it is for.
    openssl req -new -x509 -newkey rsa:2048 -nodes -days 7300 -subj "/CN=goldbake $GOLDBAKE_IMAGE modules/" -addext extendedKeyUsage=codeSigning \
        -keyout "$private" -outform DER -out "$certificate" 2>/dev/null || fail "openssl cannot make a key pair"
    chmod 644 "$certificate"
fi

# dkms 3.0.10, sbin/dkms:938-970: Ubuntu's looks into shim's folder, Debian's into its own; both make a key that stays if there is none.
install -d -m 755 /var/lib/dkms /var/lib/shim-signed/mok
ln -sfn "$private" /var/lib/dkms/mok.key
ln -sfn "$certificate" /var/lib/dkms/mok.pub
ln -sfn "$private" /var/lib/shim-signed/mok/MOK.priv
ln -sfn "$certificate" /var/lib/shim-signed/mok/MOK.der
say "modules are signed by $(openssl x509 -inform DER -in "$certificate" -noout -subject -fingerprint -sha256 | paste -sd' ')"
