/* hello - put a server_name extension into a ClientHello that has none. */
#include "fuzz.h"

#include <string.h>

#define HEADS 9  /* of the record and of the message */
#define FIXED 34 /* octets of version and random */

static void add(unsigned char *at, size_t octets_of_length, size_t more)
{
    for (size_t i = octets_of_length; i-- > 0; more >>= 8) {
        more += at[i];
        at[i] = (unsigned char)(more & 0xff);
    }
}

octets hello_with_server_name(octets hello, octets extension)
{
    size_t size = 4 + extension.size, at = HEADS + FIXED;
    unsigned char *longer = OPENSSL_malloc(hello.size + size);

    must(longer != NULL && hello.size > at && hello.data[0] == SSL3_RT_HANDSHAKE
             && hello.data[5] == SSL3_MT_CLIENT_HELLO,
         "find a ClientHello");
    at += 1 + (size_t)hello.data[at];                                     /* session id */
    at += 2 + ((size_t)hello.data[at] << 8) + (size_t)hello.data[at + 1]; /* ciphers */
    at += 1 + (size_t)hello.data[at];                                     /* compression */
    must(at + 2 < hello.size, "find the extensions");
    memcpy(longer, hello.data, at + 2);
    add(longer + 3, 2, size);
    add(longer + 6, 3, size);
    add(longer + at, 2, size);
    at += 2;
    memset(longer + at, 0, 4); /* TLSEXT_TYPE_server_name */
    add(longer + at + 2, 2, extension.size);
    if (extension.size > 0)
        memcpy(longer + at + 4, extension.data, extension.size);
    memcpy(longer + at + size, hello.data + at, hello.size - at);
    return (octets){longer, hello.size + size};
}
