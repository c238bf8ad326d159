/* leaf - one certificate, which is its own trust anchor: nobody looks at its signature.
 *
 * Input: an octet of options; then the whole certificate, or the value of the EKU (both values, if
 * there are two) that a valid certificate gets. */
#include "fuzz.h"
#include "template.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum option {
    EKU_ONLY = 1,
    CRITICAL = 2,
    TWICE = 4,
    SETTINGS = 8, /* the anchor has trust settings (x509(1), TRUSTED CERTIFICATE): */
    REJECTS = 16, /* it is rejected, not trusted ... */
    CLIENTS = 32, /* ... for clients, not servers */
};

static X509 *template; /* owned, until the end */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    template = new_template();
    must(ccert_init() && template != NULL, "make a certificate");
    return 0;
}

static void add_eku(X509 *certificate, octets value, bool critical)
{
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension;

    must(data != NULL && ASN1_OCTET_STRING_set(data, value.data, (int)value.size), "set octets");
    extension = X509_EXTENSION_create_by_NID(NULL, NID_ext_key_usage, critical, data);
    must(extension != NULL && X509_add_ext(certificate, extension, -1), "add an extension");
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(data);
}

static octets new_certificate(octets input, unsigned int options)
{
    X509 *certificate = X509_dup(template);
    unsigned char *der = NULL;
    int size;

    must(certificate != NULL, "copy a certificate");
    if ((options & TWICE) != 0)
        add_eku(certificate, take_block(&input), (options & CRITICAL) != 0);
    add_eku(certificate, input, (options & CRITICAL) != 0);
    must(i2d_re_X509_tbs(certificate, NULL) > 0, "encode anew");
    size = i2d_X509(certificate, &der);
    must(size > 0, "encode a certificate");
    X509_free(certificate);
    return (octets){der, (size_t)size};
}

/* trust - write the trust file: the certificate, and what it is good for */
static void trust(octets der, unsigned int options)
{
    /* CertAux: trusted or rejected usages: id-kp-serverAuth or -clientAuth */
    unsigned char aux[] = {0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b,
                           0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    unsigned char *both = OPENSSL_malloc(der.size + sizeof(aux));

    must(both != NULL, "copy");
    if ((options & REJECTS) != 0)
        aux[2] = 0xa0;
    if ((options & CLIENTS) != 0)
        aux[sizeof(aux) - 1] = 0x02;
    if (der.size > 0)
        memcpy(both, der.data, der.size);
    memcpy(both + der.size, aux, sizeof(aux));
    trust_file_begin();
    if ((options & SETTINGS) != 0)
        trust_file_add((octets){both, der.size + sizeof(aux)}, true);
    else
        trust_file_add(der, false);
    OPENSSL_free(both);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    octets input = {data, size}, made = {NULL, 0};
    unsigned int options = take_octet(&input);
    chain c = {.count = 1, .depth = 9, .level = 1};

    if ((options & EKU_ONLY) != 0)
        made = new_certificate(input, options);
    c.sent[0] = made.data == NULL ? input : made;
    trust(c.sent[0], options);
    compare(&c);
    OPENSSL_free((void *)(uintptr_t)made.data);
    return 0;
}
