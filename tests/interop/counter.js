// Prints the numbers of /counter; at 10 it has seen enough.
const WebSocket = require("ws");

const socket = new WebSocket(process.argv[2]);
socket.on("message", (data, isBinary) => {
  console.log(isBinary ? "binary!" : data.toString());
  if (data.toString() === "10") {
    socket.send("close");
    socket.close();
  }
});
