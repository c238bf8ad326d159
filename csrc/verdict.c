/* verdict - the result of verifying a certificate, whether it came from a handshake or a file.
 *
 * Names and digests follow Postfix (tls_verify.c, tls_fprint.c of 3.10).
 */
#include "internal.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

/* name_text - first attribute of this type as UTF-8; false: absent or unusable
 *
 * Trailing NULs are removed.  An embedded NUL, a control character, or a length of 256 octets or
 * more makes the name unusable, but not the certificate. */
static bool name_text(const X509_NAME *name, int nid, char out[256])
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    const X509_NAME_ENTRY *entry = at < 0 ? NULL : X509_NAME_get_entry(name, at); /* borrowed */
    unsigned char *text = NULL;
    int size = -1;
    bool usable;

    for (int i = 0; i < 2 && entry != NULL && size < 0; i++) /* twice: memory may have been short */
        size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    while (size > 0 && text[size - 1] == 0)
        size--;
    usable = size >= 0 && size < 256;
    for (int i = 0; usable && i < size; i++)
        usable = text[i] >= 0x20 && text[i] != 0x7f;
    if (usable) {
        memcpy(out, text, (size_t)size);
        out[size] = 0;
    }
    OPENSSL_free(text);
    return usable;
}

static void tell_names(const X509 *leaf, ccert_verdict *verdict)
{
    const X509_NAME *issuer = X509_get_issuer_name(leaf); /* borrowed */

    (void)name_text(X509_get_subject_name(leaf), NID_commonName, verdict->subject);
    if (!name_text(issuer, NID_commonName, verdict->issuer))
        (void)name_text(issuer, NID_organizationName, verdict->issuer);
}

static size_t append_name(const GENERAL_NAME *general, char *at)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(general, &type); /* borrowed */
    size_t size;

    if (type != GEN_DNS || value == NULL)
        return 0;
    size = (size_t)ASN1_STRING_length(value);
    if (memchr(ASN1_STRING_get0_data(value), 0, size) != NULL)
        return 0; /* no name, whatever stands before the NUL */
    if (at != NULL) {
        memcpy(at, ASN1_STRING_get0_data(value), size);
        at[size] = 0;
    }
    return size + 1;
}

static size_t append_names(const GENERAL_NAMES *names, char *out)
{
    size_t size = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        size += append_name(sk_GENERAL_NAME_value(names, i), out == NULL ? NULL : out + size);
    return size;
}

/* tell_dns_names - no CN instead (RFC 9525, 4.1): name constraints do not bind what could be one */
static int tell_dns_names(X509 *leaf, ccert_verdict *verdict)
{
    int found; /* -1: there is none, -2: several */
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, &found, NULL);

    if (names == NULL && found >= 0 && (X509_get_extension_flags(leaf) & EXFLAG_INVALID) == 0)
        return 0; /* it can be read: so there is no memory */
    verdict->names_size = append_names(names, NULL);
    if (verdict->names_size > 0)
        verdict->names = OPENSSL_malloc(verdict->names_size);
    if (verdict->names != NULL)
        (void)append_names(names, verdict->names);
    GENERAL_NAMES_free(names);
    return verdict->names_size == 0 || verdict->names != NULL;
}

static int digest_and_free(unsigned char *der, int size, unsigned char out[CCERT_DIGEST_SIZE])
{
    int ok = size > 0 && ccert_digest(der, (size_t)size, out);

    OPENSSL_free(der);
    return ok;
}

static int tell_digests(const X509 *leaf, ccert_verdict *verdict)
{
    unsigned char *certificate = NULL, *key = NULL;
    int certificate_size = i2d_X509(leaf, &certificate);
    int key_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &key);
    int ok = digest_and_free(certificate, certificate_size, verdict->fingerprint);

    return digest_and_free(key, key_size, verdict->pubkey_fingerprint) && ok;
}

/* ccert_verdict_tell - fill in a verdict, which owns something then; names only if trusted, error
 * and depth only if not.  The caller looks at the error queue: a name that is missing there may be
 * one that there was no memory for. */
int ccert_verdict_tell(X509 *leaf, long error_code, int error_depth, bool as_server,
                       ccert_verdict *verdict)
{
    memset(verdict, 0, sizeof(*verdict));
    verdict->trust = CCERT_ANONYMOUS;
    verdict->error = "";
    verdict->error_depth = -1;
    if (leaf == NULL)
        return 1;
    if (error_code == X509_V_OK) {
        verdict->trust = CCERT_TRUSTED;
        verdict->trusted_as_server = as_server;
        tell_names(leaf, verdict);
        if (!tell_dns_names(leaf, verdict))
            return 0;
    } else {
        verdict->trust = CCERT_UNTRUSTED;
        verdict->error_code = error_code;
        verdict->error = X509_verify_cert_error_string(error_code);
        verdict->error_depth = error_depth;
    }
    if (tell_digests(leaf, verdict))
        return 1;
    ccert_verdict_clear(verdict);
    return 0;
}

void ccert_verdict_clear(ccert_verdict *verdict)
{
    OPENSSL_free(verdict->names);
    verdict->names = NULL;
    verdict->names_size = 0;
}
