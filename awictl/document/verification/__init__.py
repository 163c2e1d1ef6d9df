"""Verify a session: does its history explain its state?"""
