/* certificate - read one certificate, whether or not it came from a handshake. */
#include "internal.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/sslerr.h>

X509 *ccert_certificate_new(const unsigned char *der, size_t size)
{
    const unsigned char *at = der;
    X509 *certificate;

    ERR_clear_error();
    if (size > INT32_MAX)
        return NULL;
    certificate = d2i_X509(NULL, &at, (long)size);
    if (certificate != NULL && at != der + size) { /* as in libssl: no trailing data */
        ERR_raise(ERR_LIB_SSL, SSL_R_CERT_LENGTH_MISMATCH);
        X509_free(certificate);
        certificate = NULL;
    }
    if (certificate != NULL && !ccert_memory_decoded(certificate)) {
        X509_free(certificate);
        certificate = NULL;
    }
    return certificate;
}

void ccert_certificate_free(X509 *certificate)
{
    X509_free(certificate);
}

int ccert_certificate_lists_server_only(X509 *certificate)
{
    bool lists;

    (void)ERR_set_mark();
    lists = ccert_lists_server_only(certificate);
    (void)ERR_pop_to_mark();
    return lists;
}

int ccert_certificate_identity(X509 *certificate, unsigned char out[CCERT_DIGEST_SIZE])
{
    const X509_NAME *subject = X509_get_subject_name(certificate); /* borrowed */
    const X509_PUBKEY *key = X509_get_X509_PUBKEY(certificate);    /* borrowed */
    unsigned char *both = NULL, *at;
    int name_size, key_size, ok = 0;

    ERR_clear_error();
    name_size = i2d_X509_NAME(subject, NULL);
    key_size = i2d_X509_PUBKEY(key, NULL);
    if (name_size > 0 && key_size > 0)
        both = OPENSSL_malloc((size_t)name_size + (size_t)key_size);
    if (both != NULL) {
        at = both;
        ok = i2d_X509_NAME(subject, &at) == name_size && i2d_X509_PUBKEY(key, &at) == key_size
             && ccert_digest(both, (size_t)(at - both), out);
    }
    OPENSSL_free(both);
    return ok;
}

unsigned long ccert_certificate_subject_hash(X509 *certificate)
{
    unsigned long hash;

    (void)ERR_set_mark();
    hash = X509_subject_name_hash(certificate);
    (void)ERR_pop_to_mark();
    return hash;
}

/* ccert_time - as a time_t; 0 if it cannot be read.  It uses neither timegm() nor ASN1_TIME_diff(),
 * which reads the current time: libc takes a lock for both. */
int64_t ccert_time(const ASN1_TIME *time)
{
    const struct tm epoch = {.tm_mday = 1, .tm_year = 70};
    struct tm end;
    int days, seconds;

    if (!ASN1_TIME_to_tm(time, &end) || !OPENSSL_gmtime_diff(&days, &seconds, &epoch, &end))
        return 0;
    return (int64_t)days * 86400 + seconds;
}

/* ccert_expiry - the certificate's notAfter */
int64_t ccert_expiry(const X509 *certificate)
{
    return ccert_time(X509_get0_notAfter(certificate));
}

int64_t ccert_certificate_expiry(const X509 *certificate)
{
    int64_t expiry;

    (void)ERR_set_mark();
    expiry = ccert_expiry(certificate);
    (void)ERR_pop_to_mark();
    return expiry;
}
