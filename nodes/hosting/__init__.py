"""What the nodes ask for and how the host gives it: devices, memory, folders, pictures, routes.

`host` alone imports the host's own modules and `sockets` its node interface; no schema is here.
"""
