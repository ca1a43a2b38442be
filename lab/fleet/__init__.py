"""Several machines on one: network namespaces, each with an address, behind a balancer."""
