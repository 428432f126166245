// What a page does in the browser: it stays up to date, counts ages, and listens to keys.
import { follow } from "./live.js";
import { read } from "./chart.js";
import { listen } from "./keys.js";
import { chooseTheme } from "./choose.js";
import { count } from "./time.js";

chooseTheme();
listen();
read();
count();
setInterval(count, 1000);
if (document.getElementById("live")) follow();
