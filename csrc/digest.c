/* digest - SHA-256, fetched once: fetching costs more than digesting a certificate. */
#include "internal.h"

static EVP_MD *sha256; /* kept until the process ends */

int ccert_digest_init(void)
{
    if (sha256 == NULL)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    return sha256 != NULL;
}

const EVP_MD *ccert_sha256(void)
{
    return sha256;
}

int ccert_digest(const void *data, size_t size, unsigned char out[CCERT_DIGEST_SIZE])
{
    return EVP_Digest(data, size, out, NULL, sha256, NULL);
}
