/* template - a valid certificate, for extensions to be added */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include <openssl/x509.h>

X509 *new_template(void); /* NULL: out of memory */

#endif
