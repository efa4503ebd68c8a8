"""The ids of security frameworks, packed: `1003.1-8` stands for a technique and its sub-techniques .001 to .008."""

from typing import Final

ATTACK: Final = """
1001.1-3 1003.1-8 1005 1006 1007 1008 1010 1011.1 1012 1014 1016.1-2 1018 1020.1 1021.1-8 1025 1027.1-18 1029
1030 1033 1036.1-12 1037.1-5 1039 1040 1041 1046 1047 1048.1-3 1049 1052.1 1053.2-3,5-7 1055.1-5,8-9,11-15
1056.1-4 1057 1059.1-13 1068 1069.1-3 1070.1-10 1071.1-5 1072 1074.1-2 1078.1-4 1080 1082 1083 1087.1-4 1090.1-4
1091 1092 1095 1098.1-7 1102.1-3 1104 1105 1106 1110.1-4 1111 1112 1113 1114.1-3 1115 1119 1120 1123 1124 1125
1127.1-3 1129 1132.1-2 1133 1134.1-5 1135 1136.1-3 1137.1-6 1140 1176.1-2 1185 1187 1189 1190 1195.1-3 1197 1199
1200 1201 1202 1203 1204.1-5 1205.1-2 1207 1210 1211 1212 1213.1-6 1216.1-2 1217 1218.1-5,7-15 1219.1-3 1220
1221 1222.1-2 1480.1-2 1482 1484.1-2 1485.1 1486 1489 1490 1491.1-2 1495 1496.1-4 1497.1-3 1498.1-2 1499.1-4
1505.1-6 1518.1-2 1525 1526 1528 1529 1530 1531 1534 1535 1537 1538 1539 1542.1-5 1543.1-5 1546.1-18
1547.1-10,12-15 1548.1-6 1550.1-4 1552.1-8 1553.1-6 1554 1555.1-6 1556.1-9 1557.1-4 1558.1-5 1559.1-3 1560.1-3
1561.1-2 1562.1-4,6-13 1563.1-2 1564.1-14 1565.1-3 1566.1-4 1567.1-4 1568.1-3 1569.1-3 1570 1571 1572 1573.1-2
1574.1,4-14 1578.1-5 1580 1583.1-8 1584.1-8 1585.1-3 1586.1-3 1587.1-4 1588.1-7 1589.1-3 1590.1-6 1591.1-4
1592.1-4 1593.1-3 1594 1595.1-3 1596.1-5 1597.1-2 1598.1-4 1599.1 1600.1-2 1601.1-2 1602.1-2 1606.1-2 1608.1-6
1609 1610 1611 1612 1613 1614.1 1615 1619 1620 1621 1622 1647 1648 1649 1650 1651 1652 1653 1654 1656 1657 1659
1665 1666 1667 1668 1669 1671 1672 1673 1674 1675 1677 1678 1679 1680 1681 1682 1683.1-2 1684.1-2 1685.1-6
1686.1-3 1687 1688 1689 1690
"""
"""MITRE ATT&CK for Enterprise 18.1 (November 2025), and what 19 (2026) adds to it; ids that 19 replaced by others stay known."""

ATLAS: Final = """
0000.0-2 0001 0002.0-2 0003 0004 0005.0-2 0006 0007 0008.0-5 0010.0-5 0011.0-3 0012 0013 0014 0015 0016.0-2
0017.0 0018.0-2 0019 0020 0021 0024.0-2 0025 0029 0031 0034.0-2 0035 0036 0037 0040 0041 0042 0043.0-4 0044 0046
0047 0048.0-4 0049 0050 0051.0-2 0052.0-1 0053 0054 0055 0056 0057 0058 0059 0060 0061 0062 0063 0064 0065 0066
0067.0 0068 0069.0-2 0070 0071 0072 0073 0074 0075 0076 0077 0078 0079 0080.0-1 0081 0082 0083 0084.0-3 0085.0-1
0086 0087 0088 0089 0090 0091.0 0092 0093 0094 0095.0 0096 0097 0098 0099 0100 0101 0102 0103 0104 0105 0106
0107 0108 0109 0110 0111 0112.0-1
"""
"""Techniques of MITRE ATLAS 5.6.1 (May 2026)."""

ATLAS_MITIGATIONS: Final = 35
"""Mitigations of the same, AML.M0000 and on."""

CSF: Final = """
GV.OC-1-5 GV.OV-1-3 GV.PO-1-2 GV.RM-1-7 GV.RR-1-4 GV.SC-1-10
ID.AM-1-5,7-8 ID.IM-1-4 ID.RA-1-10
PR.AA-1-6 PR.AT-1-2 PR.DS-1-2,10-11 PR.IR-1-4 PR.PS-1-6
DE.AE-2-4,6-8 DE.CM-1-3,6,9
RS.AN-3,6-8 RS.CO-2-3 RS.MA-1-5 RS.MI-1-2
RC.CO-3-4 RC.RP-1-6
"""
"""NIST Cybersecurity Framework 2.0 (CSWP 29, February 2024): its 22 categories with the numbers of their 106 subcategories."""

CSF_FUNCTIONS: Final = {
    "GV": "Govern",
    "ID": "Identify",
    "PR": "Protect",
    "DE": "Detect",
    "RS": "Respond",
    "RC": "Recover",
}

FORMER_CSF: Final = {
    "PR.AC-1": "PR.AA-01", "PR.AC-4": "PR.AA-05", "PR.AC-5": "PR.IR-01", "PR.AC-6": "PR.AA-02", "PR.AC-7": "PR.AA-03",
}  # fmt: skip
"""Ids of CSF 1.1 that are often cited, and what 2.0 calls them."""

OWASP: Final = {
    "ASI01": "Agent Goal Hijack",
    "ASI02": "Tool Misuse & Exploitation",
    "ASI03": "Identity & Privilege Abuse",
    "ASI04": "Agentic Supply Chain Vulnerabilities",
    "ASI05": "Unexpected Code Execution (RCE)",
    "ASI06": "Memory & Context Poisoning",
    "ASI07": "Insecure Inter-Agent Communication",
    "ASI08": "Cascading Failures",
    "ASI09": "Human-Agent Trust Exploitation",
    "ASI10": "Rogue Agents",
}
"""OWASP Top 10 for Agentic Applications 2026 (December 2025)."""

MAESTRO: Final = {
    "L1": "Foundation Model",
    "L2": "Data Operations",
    "L3": "Agent Frameworks",
    "L4": "Deployment Infrastructure",
    "L5": "Evaluation & Observability",
    "L6": "Security & Compliance",
    "L7": "Agent Ecosystem",
}
"""Layers of the Cloud Security Alliance's threat modelling framework for agents."""
