/* allocator - see allocator.h.  The linker replaces our files' calloc() (--wrap=calloc); they use
 * neither malloc() nor realloc(). */
#include "allocator.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/crypto.h>

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool armed, resting;
static fault wanted;
static size_t counted;

/* fails - as malloc() does, which sets errno (POSIX) */
static bool fails(void)
{
    if (!armed || resting)
        return false;
    counted++;
    if (counted != wanted.nth && (!wanted.lasting || counted < wanted.nth))
        return false;
    errno = ENOMEM;
    return true;
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return size == 0 || fails() ? NULL : malloc(size);
}

static void openssl_free(void *block, const char *file, int line)
{
    (void)file, (void)line;
    free(block);
}

static void *openssl_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (size == 0) {
        free(block);
        return NULL;
    }
    return fails() ? NULL : realloc(block, size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

int allocator_init(void)
{
    return CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
}

void allocator_arm(const fault *f)
{
    wanted = *f;
    counted = 0;
    resting = false;
    armed = true;
}

void allocator_rest(void)
{
    resting = true;
}

void allocator_resume(void)
{
    resting = false;
}

bool allocator_disarm(void)
{
    armed = false;
    return counted >= wanted.nth;
}
