"""The servers of the emulated Internet: routers, names, web sites, telephones, VPNs. `start` starts them all."""
