/* connection - what ccert remembers of one SSL, shared by that SSL and the Python object around it.
 *
 * The SSL owns one reference through ex_data, Python another.  When OpenSSL frees the SSL, its
 * free hook empties the pointer here, so what Python holds never dangles.
 */
#include "internal.h"

#include <stdlib.h>

static int ssl_index = -1;

static void on_ssl_new(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                       void *argp)
{
    (void)ptr, (void)ad, (void)index, (void)argl, (void)argp;
    ccert_probe_notice(parent);
}

static void on_ssl_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                        void *argp)
{
    ccert_connection *connection = ptr;

    (void)ad, (void)index, (void)argl, (void)argp;
    ccert_probe_forget(parent);
    if (connection == NULL)
        return;
    atomic_store(&connection->ssl, NULL);
    ccert_connection_free(connection);
}

/* on_ssl_dup - SSL_dup()'s copy gets a record of its own when it needs one */
static int on_ssl_dup(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **ptr, int index,
                      long argl, void *argp)
{
    (void)to, (void)from, (void)index, (void)argl, (void)argp;
    *ptr = NULL;
    return 1;
}

int ccert_connection_init(void)
{
    if (ssl_index < 0)
        ssl_index = SSL_get_ex_new_index(0, NULL, on_ssl_new, on_ssl_dup, on_ssl_free);
    return ssl_index >= 0;
}

/* ccert_connection_get0 - the SSL's record, made at the first call; NULL: out of memory */
ccert_connection *ccert_connection_get0(SSL *ssl)
{
    ccert_connection *connection = SSL_get_ex_data(ssl, ssl_index);

    if (connection != NULL)
        return connection;
    connection = calloc(1, sizeof(*connection));
    if (connection == NULL)
        return NULL;
    atomic_init(&connection->references, 1);
    atomic_init(&connection->ssl, ssl);
    if (!SSL_set_ex_data(ssl, ssl_index, connection)) {
        free(connection);
        return NULL;
    }
    return connection;
}

ccert_connection *ccert_connection_get1(SSL *ssl)
{
    ccert_connection *connection = ccert_connection_get0(ssl);

    if (connection != NULL)
        atomic_fetch_add(&connection->references, 1);
    return connection;
}

void ccert_connection_free(ccert_connection *connection)
{
    if (connection == NULL || atomic_fetch_sub(&connection->references, 1) != 1)
        return;
    OPENSSL_free(connection->error_issuer);
    OPENSSL_free(connection->name);
    free(connection);
}
