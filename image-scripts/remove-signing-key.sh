#!/usr/bin/env bash
# Purpose: prove that this bake's key has signed every module of the driver, and destroy the key.
# Inputs:  none.
# Effect:  the private key is gone; the certificate stays.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

certificate=/usr/share/goldbake/secure-boot.der
[[ -f $certificate ]] || fail "there is no certificate $certificate" "make-signing-key comes before install-driver"
# A signature names its key by the serial number of the certificate.
serial=$(openssl x509 -inform DER -in "$certificate" -noout -serial)
serial=${serial#serial=}

signed=0
for kernel in $(installed_kernels); do
    while IFS= read -r module; do
        key=$(modinfo -F sig_key "$module" | tr -d ':[:space:]')
        [[ ${key^^} == "$serial" ]] || fail "$module is signed by ${key:-nobody}, not by this bake's key $serial" \
            "did DKMS find a program that signs? see its lines above"
        signed=$((signed + 1))
    done < <(find "/lib/modules/$kernel" -name 'nvidia*.ko*' -path '*dkms*')
done
((signed > 0)) || fail "there is no module of the driver to sign" "install-driver comes before this"

rm -f /var/lib/dkms/mok.key /var/lib/dkms/mok.pub /var/lib/shim-signed/mok/MOK.priv /var/lib/shim-signed/mok/MOK.der
if [[ -d /run/goldbake-signing ]]; then
    find /run/goldbake-signing -type f -exec shred --remove {} +
    rm -rf /run/goldbake-signing
fi
say "$signed modules are signed by $serial"
