/* pem - find the certificates in PEM text as OpenSSL's own loaders do.
 *
 * Which block is the leaf must not depend on the parser: a block counts if OpenSSL takes it for a
 * certificate, and is skipped if OpenSSL skips it; reading ends where OpenSSL gives up.  This file
 * only extracts the DER; the caller decodes it.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

struct ccert_pem {
    BIO *bio;
    unsigned char *der; /* of the last block found */
    bool over;
};

ccert_pem *ccert_pem_new(const char *text, size_t size)
{
    ccert_pem *pem = size > INT32_MAX ? NULL : calloc(1, sizeof(*pem));

    if (pem == NULL)
        return NULL;
    pem->bio = BIO_new_mem_buf(text, (int)size);
    if (pem->bio == NULL) {
        free(pem);
        return NULL;
    }
    return pem;
}

void ccert_pem_free(ccert_pem *pem)
{
    if (pem == NULL)
        return;
    OPENSSL_free(pem->der);
    BIO_free(pem->bio);
    free(pem);
}

/* without_trust - the size of the certificate within a TRUSTED CERTIFICATE block */
static long without_trust(const unsigned char *der, long size)
{
    const unsigned char *end = der;
    X509 *certificate = d2i_X509(NULL, &end, size);

    if (certificate == NULL)
        return size; /* decoding it later reports the reason */
    X509_free(certificate);
    return (long)(end - der);
}

/* read_block - 1: a certificate; 0: something else; -1: there is none, or it is broken */
static int read_block(ccert_pem *pem, long *size)
{
    char *name = NULL, *header = NULL;
    int result = 0;

    OPENSSL_free(pem->der);
    pem->der = NULL;
    if (!PEM_read_bio(pem->bio, &name, &header, &pem->der, size))
        return -1;
    if (strcmp(name, PEM_STRING_X509_TRUSTED) == 0) {
        *size = without_trust(pem->der, *size);
        result = 1;
    } else if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0)
        result = 1;
    OPENSSL_free(name);
    OPENSSL_free(header);
    return result;
}

enum ccert_pem_result ccert_pem_next(ccert_pem *pem, const unsigned char **der, size_t *size)
{
    enum ccert_pem_result result = CCERT_PEM_END;
    long length = 0;
    int found = 0;

    if (pem->over)
        return CCERT_PEM_END;
    (void)ERR_set_mark();
    while (found == 0)
        found = read_block(pem, &length);
    if (found > 0) {
        *der = pem->der;
        *size = (size_t)length;
        result = CCERT_PEM_CERTIFICATE;
    } else {
        pem->over = true;
        if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
            result = CCERT_PEM_BROKEN;
    }
    (void)ERR_pop_to_mark();
    return result;
}
