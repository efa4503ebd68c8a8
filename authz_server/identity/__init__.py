"""Who makes the step: X.509-SVIDs, XFCC elements and the calling proxy, as values (SPIFFE X509-SVID, Envoy headers.rst)."""
