"""What stands in a link to an MTProto proxy."""

from urllib.parse import parse_qs, urlsplit


class Link:
    """Where the proxy is, and its secret, which says the form as well."""

    def __init__(self, text):
        parameters = {name: values[0] for name, values in parse_qs(urlsplit(text).query).items()}
        self.host, self.port, self.secret = parameters["server"], int(parameters["port"]), parameters["secret"]


class Cipher:
    """AES in counter mode as Telethon has it, by the library of another: its own, in Python, takes a second for each
    130 kB."""

    def __init__(self, key, iv):
        self.key, self.iv, self.state = key, bytearray(iv), bytearray(1)

    def encrypt(self, data):
        import tgcrypto

        return tgcrypto.ctr256_encrypt(bytes(data), self.key, self.iv, self.state)

    decrypt = encrypt


def telethon_way(text):
    """What Telethon is to be told to go by a link; it does not read the form in the secret."""
    from telethon.network.connection import tcpmtproxy

    tcpmtproxy.AESModeCTR = Cipher
    link = Link(text)
    connection = (tcpmtproxy.ConnectionTcpMTProxyRandomizedIntermediate if link.secret.startswith("dd")
                  else tcpmtproxy.ConnectionTcpMTProxyIntermediate)
    return {"connection": connection, "proxy": (link.host, link.port, link.secret)}
