// Says Hello to /echo, prints what comes back, and leaves.
const WebSocket = require("ws");

const socket = new WebSocket(process.argv[2]);
socket.on("open", () => socket.send("Hello"));
socket.on("message", (data, isBinary) => {
  console.log(isBinary ? "binary!" : data.toString());
  socket.close();
});
