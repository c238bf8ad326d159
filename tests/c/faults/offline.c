/* offline - a verification without a connection, in which an allocation fails. */
#include "faults.h"

#include <time.h>

#include <openssl/err.h>

static ccert_verifier *new_verifier(void)
{
    ccert_verifier *verifier = ccert_verifier_new(9, 1);
    X509 *anchor;

    allocator_rest();
    anchor = credentials_copy(credentials_anchor());
    allocator_resume();
    if (verifier != NULL && !ccert_verifier_trust(verifier, anchor)) {
        ccert_verifier_free(verifier);
        verifier = NULL;
    }
    X509_free(anchor);
    return verifier;
}

/* decode - as Python does; NULL: refused */
static X509 *decode(X509 *certificate)
{
    unsigned char *der = NULL;
    X509 *decoded;
    int size;

    allocator_rest();
    size = i2d_X509(certificate, &der);
    must(size > 0, "encode a certificate");
    litter();
    allocator_resume();
    decoded = ccert_certificate_new(der, (size_t)size);
    allocator_rest();
    OPENSSL_free(der);
    return decoded;
}

static int verify(const ccert_verifier *verifier, const variety *v, ccert_verdict *verdict)
{
    const credentials *c = credentials_of(v->trusted);
    X509 *chain[2] = {decode(c->leaf), c->issuer == NULL ? NULL : decode(c->issuer)};
    int count = c->issuer == NULL ? 1 : 2, done = 0;

    litter();
    allocator_resume();
    if (chain[0] != NULL && (count == 1 || chain[1] != NULL))
        done = ccert_verifier_verify(verifier, 1, chain, count, time(NULL), verdict);
    allocator_rest();
    ccert_certificate_free(chain[0]);
    ccert_certificate_free(chain[1]);
    return done;
}

/* attempt_verify - making the verifier, loading its CA and decoding the chain included */
outcome attempt_verify(const variety *v, const fault *f)
{
    ccert_verdict right = {0}, verdict = {0};
    ccert_verifier *verifier;
    outcome found = REFUSED;
    bool hit;

    allocator_arm(f);
    verifier = new_verifier();
    if (verifier != NULL && verify(verifier, v, &verdict))
        found = SAME;
    hit = allocator_disarm();
    ERR_clear_error();
    if (verifier == NULL) {
        verifier = new_verifier();
        must(verifier != NULL, "make a verifier");
    }
    if (!verify(verifier, v, &right) || (right.trust == CCERT_TRUSTED) != v->trusted)
        found = LASTING;
    else if (found == SAME && !same_verdict(&verdict, &right))
        found = differs(&verdict, v);
    ccert_verdict_clear(&verdict);
    ccert_verdict_clear(&right);
    ccert_verifier_free(verifier);
    return hit ? found : NONE;
}
