// What Node's crypto and tls make of the files of one device: node read_with_node.mjs '{"root": path, …}'; prints JSON.
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import tls from "node:tls";

const files = JSON.parse(process.argv[2]);
const read = (name) => readFileSync(files[name]);
const certificates = (name) =>
  read(name).toString().match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g).map((pem) => new X509Certificate(pem));

const [root] = certificates("root");
const [leaf, issuing, ...more] = certificates("certificate");
const issued = (below, above) => below.checkIssued(above) && below.verify(above.publicKey);

function opens(passphrase) {
  try {
    tls.createSecureContext({ pfx: read("pfx"), passphrase });
    return true;
  } catch (error) {
    return error.message;
  }
}

// A server that knows the root alone, and a client that has the PFX alone.
function handshake() {
  return new Promise((resolve, reject) => {
    const server = tls.createServer(
      { cert: read("server_certificate"), key: read("server_key"), ca: read("root"), requestCert: true, rejectUnauthorized: false },
      (socket) => {
        const shown = socket.getPeerCertificate(true);
        resolve({ authorized: socket.authorized, error: socket.authorizationError ?? null, names: [shown.subject.CN, shown.issuerCertificate.subject.CN] });
        socket.destroy();
        server.close();
      },
    );
    server.on("tlsClientError", reject);
    server.listen(0, "127.0.0.1", () => {
      const options = { host: "127.0.0.1", port: server.address().port, servername: "localhost", ca: read("server_root") };
      tls.connect({ ...options, pfx: read("pfx"), passphrase: files.password }).on("error", reject);
    });
  });
}

console.log(JSON.stringify({
  subjects: [root, issuing, leaf].map((one) => one.subject),
  authorities: [root.ca, issuing.ca, leaf.ca],
  chain: [issued(root, root), issued(issuing, root), issued(leaf, issuing), issued(leaf, root)],
  more: more.length,
  purposes: leaf.keyUsage,
  keyFits: leaf.checkPrivateKey(createPrivateKey(read("key"))),
  keyType: leaf.publicKey.asymmetricKeyType,
  keyDetails: leaf.publicKey.asymmetricKeyDetails.namedCurve ?? leaf.publicKey.asymmetricKeyDetails.modulusLength,
  days: Math.round((new Date(leaf.validTo) - Date.now()) / 86_400_000),
  pfx: [opens(files.password), opens("wrong")],
  handshake: await handshake(),
}));
