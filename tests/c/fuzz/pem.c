/* pem - the certificates of a text are those that OpenSSL's own loader finds, in its order. */
#include "fuzz.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    must(ccert_init(), "begin");
    return 0;
}

/* judge - what X509_load_cert_crl_file() would load; NULL: it gives up */
static STACK_OF(X509_INFO) * judge(octets text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
    STACK_OF(X509_INFO) * found;

    must(bio != NULL, "read from memory");
    found = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return found;
}

/* next - the judge's next certificate; NULL: there is none */
static X509 *next(const STACK_OF(X509_INFO) * found, int *at)
{
    while (*at < sk_X509_INFO_num(found)) {
        X509_INFO *info = sk_X509_INFO_value(found, (*at)++); /* borrowed */

        if (info->x509 != NULL)
            return info->x509;
    }
    return NULL;
}

/* next_has_settings - is the next certificate's block a TRUSTED CERTIFICATE? */
static bool next_has_settings(BIO *text)
{
    bool settings = false, found = false;
    unsigned char *der;
    char *kind, *header;
    long size;

    while (!found && PEM_read_bio(text, &kind, &header, &der, &size)) {
        settings = strcmp(kind, PEM_STRING_X509_TRUSTED) == 0;
        found = settings || strcmp(kind, PEM_STRING_X509) == 0
                || strcmp(kind, PEM_STRING_X509_OLD) == 0;
        OPENSSL_free(kind);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    return settings;
}

/* same - and nothing behind it; what is there in a block without settings is refused later */
static bool same(const unsigned char *der, size_t size, const X509 *judged, bool settings)
{
    const unsigned char *at = der;
    X509 *ours = d2i_X509(NULL, &at, (long)size);
    bool equal = ours != NULL && judged != NULL && X509_cmp(ours, judged) == 0;

    X509_free(ours);
    return equal && (!settings || at == der + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    STACK_OF(X509_INFO) *judged = judge((octets){data, size});
    ccert_pem *pem = ccert_pem_new(text, size);
    BIO *again = BIO_new_mem_buf(text, (int)size);
    enum ccert_pem_result result;
    const unsigned char *der;
    size_t length;
    int at = 0;

    must(pem != NULL && again != NULL, "read");
    queue_begin();
    while ((result = ccert_pem_next(pem, &der, &length)) == CCERT_PEM_CERTIFICATE) {
        claim(length <= size, "a certificate is no longer than its text");
        (void)ERR_set_mark();
        if (judged != NULL)
            claim(same(der, length, next(judged, &at), next_has_settings(again)),
                  "the certificate is the one OpenSSL loads");
        (void)ERR_pop_to_mark();
    }
    claim(ccert_pem_next(pem, &der, &length) == CCERT_PEM_END, "the end is the end");
    queue_end("reading PEM leaves the error queue alone");
    claim(judged == NULL || result == CCERT_PEM_END, "broken only if OpenSSL gives up");
    claim(judged == NULL || next(judged, &at) == NULL, "no certificate is left out");
    ccert_pem_free(pem);
    BIO_free(again);
    sk_X509_INFO_pop_free(judged, X509_INFO_free);
    ERR_clear_error();
    return 0;
}
