// Speaks the protocol by hand: signs in, sends one message, prints the type of each frame.
const WebSocket = require("ws");

const socket = new WebSocket(process.argv[2]);
const say = (command) => socket.send(JSON.stringify(command));
socket.on("open", () => say({ type: "hello", v: 1, name: "node", id: "1" }));
socket.on("message", (data) => {
  const frame = JSON.parse(data);
  if (frame.type === "welcome") {
    console.log(`welcome ${frame.user}`);
    say({ type: "join", channel: "#general", id: "2" });
  } else if (frame.type === "joined") {
    console.log(`joined ${frame.channel}`);
    say({ type: "send", channel: "#general", text: "Grüße 🎉", cid: "n1", id: "3" });
  } else if (frame.type === "event" && frame.kind === "message") {
    console.log(`event ${frame.text}`);
  } else if (frame.type === "ok" && frame.id === "3") {
    console.log(`ok ${frame.seq > 0}`);
    socket.close();
  } else if (frame.type === "error") {
    console.log(`error ${frame.code}: ${frame.message}`);
    socket.close();
  }
});
