// A certified OpenID provider for the tests: node provider.mjs PORT OVERREAD_ADDRESS SECRET_FILE
// Whoever signs in has the roles that stand below; any password does.
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const [port, overread, secretFile] = process.argv.slice(2);
const roles = { ada: ["overread-readers"], chief: ["overread-admins"], visitor: ["library"] };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "overread",
      client_secret: readFileSync(secretFile, "utf8").trim(),
      redirect_uris: [`${overread}/login/hospital/callback`],
      post_logout_redirect_uris: [`${overread}/login`],
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username", "roles"] },
  conformIdTokenClaims: false, // claims in the ID token, as a hospital's provider is set up
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: `subject-of-${id}`, preferred_username: id, roles: roles[id] ?? [] }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
