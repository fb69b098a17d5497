"""The servers of the emulated Internet: routers, name servers, web sites, telephones, VPNs; started by `start`."""
