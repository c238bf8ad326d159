/* mark - which sessions have ended for a reason?
 *
 * A session may have several connections and, from OpenSSL 3.2 on, a copy at each of them, to be
 * stored again if the connection just ends (session.c).  Once one of them has failed, none may be
 * stored again.  So they share a mark (ex_data), which SSL_SESSION_dup() hands on.
 */
#include "internal.h"

#include <stdlib.h>

typedef struct {
    atomic_uint references;
    atomic_bool ended;
} mark;

static int index_of_mark = -1;

static void release(mark *shared)
{
    if (shared != NULL && atomic_fetch_sub(&shared->references, 1) == 1)
        free(shared);
}

static void on_session_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                            void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    release(ptr);
}

static int on_session_dup(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **ptr, int index,
                          long argl, void *argp)
{
    mark *shared = *ptr;

    (void)to, (void)from, (void)index, (void)argl, (void)argp;
    if (shared != NULL)
        atomic_fetch_add(&shared->references, 1);
    return 1;
}

int ccert_mark_init(void)
{
    if (index_of_mark < 0)
        index_of_mark =
            SSL_SESSION_get_ex_new_index(0, NULL, NULL, on_session_dup, on_session_free);
    return index_of_mark >= 0;
}

/* ccert_mark_make - give a session that nobody else has seen yet a mark of its own, in place of the
 * one of the session that it was copied from; 0: out of memory */
int ccert_mark_make(SSL_SESSION *session)
{
    mark *shared = calloc(1, sizeof(*shared));
    mark *inherited = SSL_SESSION_get_ex_data(session, index_of_mark);

    if (shared == NULL)
        return 0;
    atomic_init(&shared->references, 1);
    if (!SSL_SESSION_set_ex_data(session, index_of_mark, shared)) {
        free(shared);
        return 0;
    }
    release(inherited);
    return 1;
}

/* ccert_mark_end - the session, NULL or not, and its copies must not be stored again */
void ccert_mark_end(const SSL_SESSION *session)
{
    mark *shared = session == NULL ? NULL : SSL_SESSION_get_ex_data(session, index_of_mark);

    if (shared != NULL)
        atomic_store(&shared->ended, true);
}

/* ccert_mark_has_ended - also where there is no mark */
bool ccert_mark_has_ended(const SSL_SESSION *session)
{
    mark *shared = SSL_SESSION_get_ex_data(session, index_of_mark);

    return shared == NULL || atomic_load(&shared->ended);
}
