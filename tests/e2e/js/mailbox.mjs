// A mail server that keeps what it takes, and says each mail as a line of JSON: {"to", "from", "text"}.
//
// The first line is {"port"}. It refuses MAILBOX_LATER mails for now (451), and everything for `nobody@…` for ever (550).

import { SMTPServer } from "smtp-server";

let later = Number(process.env.MAILBOX_LATER ?? 0);

const refused = (code, why) => Object.assign(new Error(why), { responseCode: code });
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS"],
  onRcptTo: ({ address }, _session, done) =>
    address.startsWith("nobody@") ? done(refused(550, "No such user")) : done(),
  onData(stream, session, done) {
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("end", () => {
      if (later > 0) {
        later -= 1;
        return done(refused(451, "Come back later"));
      }
      const { mailFrom, rcptTo } = session.envelope;
      const text = Buffer.concat(chunks).toString("utf8");
      say({ from: mailFrom.address, to: rcptTo.map(({ address }) => address), text });
      done();
    });
  },
});
server.on("error", (error) => console.error(error.message));
server.listen(0, "127.0.0.1", () => say({ port: server.server.address().port }));
