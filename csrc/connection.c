/* connection - ccert's record of one SSL: created when a policy first applies to it, freed with it.
 */
#include "internal.h"

#include <stdlib.h>

static int ssl_index = -1;

static void on_ssl_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                        void *argp)
{
    ccert_connection *connection = ptr;

    (void)ad, (void)index, (void)argl, (void)argp;
    ccert_probe_notice(parent);
    if (connection == NULL)
        return;
    ccert_registry_remove(connection);
    ccert_keeping_end(parent, connection);
    SSL_SESSION_free(connection->spare);
    OPENSSL_free(connection->error_issuer);
    OPENSSL_free(connection->name);
    free(connection);
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
        ssl_index = SSL_get_ex_new_index(0, NULL, NULL, on_ssl_dup, on_ssl_free);
    return ssl_index >= 0;
}

/* ccert_connection_peek - the SSL's record; NULL: no policy has applied to it */
ccert_connection *ccert_connection_peek(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, ssl_index);
}

/* ccert_connection_get0 - the SSL's record, created at the first call; NULL: out of memory */
ccert_connection *ccert_connection_get0(SSL *ssl)
{
    ccert_connection *connection = ccert_connection_peek(ssl);

    if (connection != NULL)
        return connection;
    connection = calloc(1, sizeof(*connection));
    if (connection == NULL)
        return NULL;
    connection->ssl = ssl;
    connection->object = (uintptr_t)SSL_get_app_data(ssl);
    if (!ccert_registry_add(connection)) {
        free(connection);
        return NULL;
    }
    if (!SSL_set_ex_data(ssl, ssl_index, connection)) {
        ccert_registry_remove(connection);
        free(connection);
        return NULL;
    }
    return connection;
}
