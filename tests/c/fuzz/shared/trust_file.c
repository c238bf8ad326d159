/* trust_file - in memory, but with a path, as OpenSSL's loader wants it. */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/pem.h>

static FILE *file;
static char path[64];

void trust_file_begin(void)
{
    if (file == NULL) {
        int fd = memfd_create("anchors", MFD_CLOEXEC);

        file = fd < 0 ? NULL : fdopen(fd, "w");
        must(file != NULL, "make a trust file");
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    rewind(file);
    must(ftruncate(fileno(file), 0) == 0, "empty the trust file");
}

void trust_file_add(octets der, bool trusted)
{
    must(PEM_write(file, trusted ? PEM_STRING_X509_TRUSTED : PEM_STRING_X509, "", der.data,
                   (long)der.size)
             >= 0,
         "write to the trust file");
    must(fflush(file) == 0, "write the trust file");
}

const char *trust_file_path(void)
{
    return path;
}
