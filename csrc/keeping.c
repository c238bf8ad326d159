/* keeping - keep the session of a connection that just ends.
 *
 * SSL_free() drops the session of a connection that was not shut down, and most servers just close.
 * Before OpenSSL 3.2 it first calls us (connection.c), and we say that the connection was shut
 * down. Later versions free the session first, so a copy of it is stored again.  A connection that
 * failed takes its session along.
 */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

/* frees_session_first - SSL_free() does so before it calls us, from OpenSSL 3.2 on; what counts is
 * the library that runs, not the one whose headers we had */
static bool frees_session_first(void)
{
    return OpenSSL_version_num() >= 0x30200000L;
}

static bool needs_spare(const SSL *ssl)
{
    const uint64_t options = SSL_get_options(ssl);

    return (options & SSL_OP_NO_TICKET) != 0
           && (frees_session_first() || (options & SSL_OP_IGNORE_UNEXPECTED_EOF) == 0);
}

/* loses_reference - does SSL_CTX_add_session(), when memory runs out, put a session into its list
 * and give the reference back nevertheless?  OpenSSL's issue 28632; seen in 3.0.20, 3.5.5 and 3.6.1
 * and no longer in the versions below.  In a series that is not named, or if a distribution has
 * mended it earlier, the worst is that one session leaks. */
static bool loses_reference(void)
{
    static const unsigned int mended[] = {[5] = 6, [6] = 2};
    const unsigned int minor = OPENSSL_version_minor();

    if (OPENSSL_version_major() > 3 || minor >= sizeof(mended) / sizeof(*mended))
        return false;
    return mended[minor] == 0 || OPENSSL_version_patch() < mended[minor];
}

/* add - 0: no memory.  If libssl's list has the session without a reference then, it gets one here,
 * which libssl drops with it.  Otherwise the next look at the list would be at freed memory. */
static int add(SSL_CTX *ctx, SSL_SESSION *session)
{
    if (SSL_CTX_add_session(ctx, session))
        return 1;
    if (loses_reference())
        (void)SSL_SESSION_up_ref(session);
    return 0;
}

/* ccert_keeping_spare - keep a copy of a session that is stored, if one is needed.  A session that
 * libssl has dropped cannot be stored again, because libssl marks it. */
void ccert_keeping_spare(const SSL *ssl, ccert_connection *connection, const SSL_SESSION *session)
{
    if (!needs_spare(ssl) || ccert_mark_has_ended(session))
        return;
    SSL_SESSION_free(connection->spare);
    connection->spare = SSL_SESSION_dup(session); /* NULL: no resumption, that is all */
}

/* ccert_keeping_store - and be ready to do so again */
void ccert_keeping_store(const SSL *ssl, ccert_connection *connection, SSL_SESSION *session)
{
    if (needs_spare(ssl))
        (void)ccert_mark_make(session);  /* 0: no spare */
    if (!add(connection->home, session)) /* no resumption, that is all */
        return;
    ccert_keeping_spare(ssl, connection, session);
    if (needs_spare(ssl) && connection->spare == NULL) /* ccert_keeping_end() could not remove it */
        (void)SSL_CTX_remove_session(connection->home, session);
}

/* drop - the session of a handshake that ended in an error without an alert: it could be stored
 * before its ticket was written, and libssl does not drop it in the course of a handshake */
static void drop(const ccert_connection *connection)
{
    if (connection->spare == NULL)
        return;
    ccert_mark_end(connection->spare);
    (void)SSL_CTX_remove_session(connection->home, connection->spare); /* 0: it is not there */
}

/* ccert_keeping_end - called when the SSL is freed: its session is to survive a connection that
 * just ends */
void ccert_keeping_end(SSL *ssl, const ccert_connection *connection)
{
    int shutdown = SSL_get_shutdown(ssl);

    if (connection->failed || connection->refused || !ccert_session_is_at_home(ssl, connection))
        return;
    if (!connection->finished) {
        drop(connection);
        return;
    }
    if (!connection->cut && (shutdown & SSL_SENT_SHUTDOWN) != 0) /* libssl keeps it */
        return;
    if (!connection->cut && !SSL_is_init_finished(ssl)) { /* an error whose alert did not get out */
        drop(connection);
        return;
    }
    if (connection->spare != NULL && !ccert_mark_has_ended(connection->spare)
        && ccert_session_has_current_policy(connection))
        (void)add(connection->home, connection->spare); /* 0: no resumption, that is all */
    if (!frees_session_first())
        SSL_set_shutdown(ssl, shutdown | SSL_SENT_SHUTDOWN);
}

/* ccert_keeping_alert - an end without close_notify is an error for OpenSSL 3, unless an option
 * says otherwise; the option is Python's until 3.12 */
void ccert_keeping_alert(const SSL *ssl, ccert_connection *connection, int alert)
{
    if (connection == NULL || alert >> 8 != SSL3_AL_FATAL)
        return;
    if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        connection->cut = true;
    else {
        connection->failed = true;
        ccert_mark_end(SSL_get_session(ssl));
    }
}
