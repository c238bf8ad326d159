"""Load and faults for ``ccert serve``.

The server is what is tested, so those who load it and those who plague it are processes of their
own (:mod:`load.generator`, :mod:`load.trouble`); the test only watches.  Every message says in
itself who sent it and how, so that each delivered file can be judged alone: :mod:`load.ledger`.
"""
