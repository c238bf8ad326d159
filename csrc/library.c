/* library - the OpenSSL that this extension runs on: version, path, errors, initialization. */
#define _GNU_SOURCE /* dladdr */
#include "internal.h"

#include <dlfcn.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

int ccert_init(void)
{
    return OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL) && ccert_digest_init()
           && ccert_connection_init() && ccert_context_init() && ccert_mark_init();
}

void ccert_header_version(unsigned int *major, unsigned int *minor)
{
    *major = OPENSSL_VERSION_MAJOR;
    *minor = OPENSSL_VERSION_MINOR;
}

void ccert_library_version(unsigned int *major, unsigned int *minor)
{
    *major = OPENSSL_version_major();
    *minor = OPENSSL_version_minor();
}

const char *ccert_library_name(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

const char *ccert_library_path(void)
{
    Dl_info info;

    if (dladdr((void *)(uintptr_t)&SSL_CTX_set_cert_verify_callback, &info) == 0)
        return NULL;
    return info.dli_fname;
}

/* ccert_error - the reason of what failed; each function that Python asks for it begins with
 * ERR_clear_error(), or the reason could be of somebody else's call */
int ccert_error(char *text, size_t size)
{
    unsigned long code = ERR_get_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    ERR_clear_error();
    if (code == 0)
        return 0;
    if (reason != NULL)
        OPENSSL_strlcpy(text, reason, size);
    else
        ERR_error_string_n(code, text, size);
    return 1;
}
