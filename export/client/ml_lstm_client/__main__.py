"""python -m ml_lstm_client"""

from ml_lstm_client.command import main

main()
