/* deadline - make a session end before the first certificate of its chain expires.
 *
 * A session may be changed as long as no other connection can see it; a cached one may not.
 */
#include "internal.h"

#include <string.h>
#include <time.h>

#define NO_EXPIRY INT64_MAX

/* Differs from every id context that a connection gets. */
static const unsigned char never_resumed[] = "ccert-never-resumed";

/* ccert_session_void - make sure that the session never resumes */
int ccert_session_void(SSL_SESSION *session)
{
    return SSL_SESSION_set1_id_context(session, never_resumed, sizeof(never_resumed));
}

/* ccert_session_expire - also a stored one: libssl locks its cache for this */
void ccert_session_expire(SSL_SESSION *session)
{
#if OPENSSL_VERSION_PREREQ(3, 3)
    (void)SSL_SESSION_set_time_ex(session, 1);
#else
    (void)SSL_SESSION_set_time(session, 1);
#endif
}

/* ccert_session_shorten - make the session end before expiry, a time_t
 *
 * A session's timeout is in whole seconds and must not be 0: OpenSSL omits a 0 from the ticket,
 * reads it back as 3, finds the ticket longer than announced, and fails the handshake. */
int ccert_session_shorten(SSL_SESSION *session, int64_t expiry)
{
    int64_t left = expiry - (int64_t)time(NULL) - 1;

    if (left < 1)
        return ccert_session_void(session);
    if (left >= SSL_SESSION_get_timeout(session))
        return 1;
    return SSL_SESSION_set_timeout(session, (long)left) != 0;
}

/* ccert_session_expiry - the deadline of a session whose chain this connection did not verify */
int64_t ccert_session_expiry(SSL *ssl, SSL_SESSION *session)
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl); /* borrowed */
    void *data;                                        /* borrowed */
    size_t size;
    int64_t expiry;

    if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) && size == sizeof(expiry)) {
        memcpy(&expiry, data, sizeof(expiry));
        return expiry;
    }
    return leaf == NULL ? NO_EXPIRY : ccert_expiry(leaf);
}

/* ccert_session_has_ended - has it timed out?  ccert_session_shorten() left a second to spare */
bool ccert_session_has_ended(const SSL_SESSION *session)
{
#if OPENSSL_VERSION_PREREQ(3, 3)
    time_t start = SSL_SESSION_get_time_ex(session);
#else
    time_t start = SSL_SESSION_get_time(session);
#endif

    return start + SSL_SESSION_get_timeout(session) + 1 < time(NULL);
}
