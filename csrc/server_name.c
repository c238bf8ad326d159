/* server_name - the server name that the client sent in its ClientHello. */
#include "internal.h"

#include <string.h>

/* ccert_server_name_keep - store the server_name extension as the client sent it; refuse one that
 * is too large for a host name, as libssl would later */
int ccert_server_name_keep(SSL *ssl, ccert_connection *connection)
{
    const unsigned char *name; /* borrowed */
    size_t size;

    OPENSSL_free(connection->name); /* of the ClientHello before HelloRetryRequest */
    connection->name = NULL;
    connection->name_size = 0;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &name, &size))
        return 1;
    if (size == 0)
        return 1; /* libssl refuses it */
    if (size > CCERT_NAME_SIZE || (connection->name = OPENSSL_memdup(name, size)) == NULL)
        return 0;
    connection->name_size = size;
    return 1;
}

/* ccert_server_name_kept - is the final server name the one that ccert_server_name_keep() stored?
 *
 * Encodes the final name as an extension again: one host_name (RFC 6066, 3), as OpenSSL accepts
 * nothing else. */
bool ccert_server_name_kept(SSL *ssl, const ccert_connection *connection)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name); /* borrowed */
    size_t size = name == NULL ? 0 : strlen(name);
    unsigned char head[5];

    if (SSL_version(ssl) < TLS1_3_VERSION) /* there is only one ClientHello */
        return true;
    if (name == NULL)
        return connection->name_size == 0;
    if (size > TLSEXT_MAXLEN_host_name || connection->name_size != sizeof(head) + size)
        return false;
    head[0] = (unsigned char)((size + 3) >> 8);
    head[1] = (unsigned char)((size + 3) & 0xff);
    head[2] = TLSEXT_NAMETYPE_host_name;
    head[3] = (unsigned char)(size >> 8);
    head[4] = (unsigned char)(size & 0xff);
    return memcmp(connection->name, head, sizeof(head)) == 0
           && memcmp(connection->name + sizeof(head), name, size) == 0;
}
